"""The edit list: which scenes make which file, for how long, and how one gives way to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from demo.footage.painting import Scene, Size
from demo.footage.scenes import (
    abstract,
    cards,
    city,
    clock,
    coast,
    deep,
    desert,
    fair,
    heavens,
    landscape,
    paper,
    pitch,
    play,
    railway,
    seasons,
    water,
)

Transition = Literal["cut", "dissolve", "fade"]
CATALOGUE, CAMERA = "catalogue", "camera"


@dataclass(frozen=True)
class Shot:
    """A scene in a film; `into` says how the next shot follows."""

    name: str
    text: str
    factory: Callable[..., Scene]
    seconds: float
    sound: str
    seed: int = 7
    style: dict[str, str | int | float] = field(default_factory=dict)
    into: Transition = "cut"
    starts_at: float = 0.4
    pace: float = 1.0

    def build(self, size: Size) -> Scene:
        return self.factory(size, self.seed, **self.style)

    def moment(self, seconds: float) -> float:
        """The time on the scene's own clock, `seconds` after the shot begins; a pace of 0 freezes it."""
        return self.starts_at + self.pace * seconds


@dataclass(frozen=True)
class Film:
    """One file of raw footage."""

    name: str
    title: str
    category: str
    shots: tuple[Shot, ...]
    size: Size = (640, 360)
    fps: int = 25
    video: str = "libx264"
    audio: str = "aac"
    in_table: bool = False
    cut_off: float = 0.0
    """The share of the finished file's bytes that is lost at its end."""

    @property
    def path(self) -> str:
        """Where it lies: what the table lists in one folder, what only lies around in another."""
        return f"{CATALOGUE if self.in_table else CAMERA}/{self.name}"


def _train(seconds: float) -> Shot:
    return Shot(
        "steam-train",
        "A steam train with red carriages runs along a valley below snowy mountains, from a clear "
        "afternoon into a red evening with lit windows.",
        railway.steam_train,
        seconds,
        "wheels+chords",
        style={"journey": seconds},
        starts_at=0.0,
    )


FILMS: tuple[Film, ...] = (
    Film(
        "slow-train.mkv",
        "Slow train home in one long take",
        "Travel",
        (
            _train(25.0),
            Shot(
                "cabin-in-snow",
                "Snow falls at blue dusk on fir trees and a wooden cabin with lit windows.",
                seasons.snowy_forest,
                5.0,
                "wind+bells",
            ),
        ),
        fps=25,
    ),
    Film(
        "coast-evening.mp4",
        "An evening on the coast, from sunset to fireworks",
        "Travel",
        (
            Shot(
                "sunset-boat",
                "A sailing boat drifts over a glittering sea in front of a large setting sun.",
                water.sunset_sea,
                5.5,
                "waves+chords",
            ),
            Shot(
                "koi-pond",
                "Rain rings spread over a dark green pond seen from above; koi swim under lily pads.",
                water.koi_pond,
                4.5,
                "rain",
            ),
            Shot(
                "lighthouse",
                "The beam of a red and white lighthouse sweeps over a dark sea at dusk.",
                coast.lighthouse,
                5.0,
                "waves",
                into="dissolve",
            ),
            Shot(
                "fireworks",
                "Colourful fireworks burst in the night sky over a bay and are mirrored in the water.",
                coast.fireworks,
                6.0,
                "bursts",
                starts_at=1.2,
            ),
            Shot(
                "fish-school",
                "A school of silver and yellow fish wheels through shafts of sunlight above a coral reef.",
                deep.fish_school,
                5.0,
                "bubbles+chords",
            ),
        ),
        fps=25,
        in_table=True,
    ),
    Film(
        "open-country.mp4",
        "Across open country",
        "Travel",
        (
            Shot(
                "windmill",
                "Green rolling hills with trees slide by under white clouds; a white windmill turns its sails.",
                landscape.windmill_hills,
                4.5,
                "wind",
            ),
            Shot(
                "caravan",
                "A caravan of camels walks along a dune crest in the golden light of the low sun.",
                desert.dunes,
                5.0,
                "wind+chords",
            ),
            Shot(
                "balloons",
                "Striped hot-air balloons drift over a patchwork of fields on a hazy morning.",
                landscape.balloons,
                5.0,
                "chords",
                into="dissolve",
            ),
            Shot(
                "autumn-leaves",
                "Red and golden leaves fall in a sunlit autumn wood.",
                seasons.autumn_leaves,
                4.0,
                "wind+bells",
            ),
            Shot(
                "evening-windmill",
                "A windmill stands on brown hills in front of a glowing evening sun.",
                landscape.windmill_hills,
                3.5,
                "wind",
                seed=20,
                style={"light": "evening"},
            ),
            Shot(
                "dusk-caravan",
                "Camels cross violet dunes under a full moon.",
                desert.dunes,
                3.0,
                "wind",
                seed=31,
                style={"hour": "dusk"},
            ),
        ),
        fps=24,
        in_table=True,
    ),
    Film(
        "night-city.mp4",
        "Night in the city",
        "Documentary",
        (
            Shot(
                "skyline",
                "A city skyline with lit windows slides by at night; cars pass on the wet street in front.",
                city.skyline,
                5.0,
                "traffic",
            ),
            Shot(
                "ferris-wheel",
                "A ferris wheel with coloured lamps turns at dusk above a river.",
                fair.ferris_wheel,
                4.5,
                "crowd+bells",
            ),
            Shot(
                "flash-frame",
                "A kaleidoscope, shown for less than half a second.",
                abstract.kaleidoscope,
                0.4,
                "ticks",
                seed=3,
            ),
            Shot(
                "motorway",
                "A drive on a motorway at night, with red tail lights ahead and white head lights coming.",
                city.motorway,
                4.0,
                "traffic",
            ),
            Shot(
                "rainy-window",
                "Rain drops run down a window in front of blurred city lights.",
                city.rainy_window,
                3.5,
                "rain",
                into="fade",
            ),
            Shot(
                "blue-skyline",
                "A teal city skyline at night with a full moon above.",
                city.skyline,
                3.5,
                "traffic+chords",
                seed=2,
                style={"hour": "blue"},
            ),
            Shot("too-dark", "A room at night, so dark that almost nothing is seen.", cards.too_dark, 2.5, "room"),
        ),
        fps=30,
        in_table=True,
    ),
    Film(
        "deep-space.mp4",
        "Beyond the sky",
        "Documentary",
        (
            Shot(
                "ringed-planet",
                "A banded amber planet turns inside its rings while a small moon passes.",
                heavens.ringed_planet,
                3.6,
                "chords",
            ),
            Shot(
                "cloud-sea",
                "A flight over a sea of clouds towards the rising sun; a flock of birds crosses.",
                heavens.cloud_sea,
                3.2,
                "wind+chords",
                seed=9,
            ),
            Shot(
                "star-flight", "A flight through a violet nebula; stars stream past.", heavens.star_flight, 3.0, "wind"
            ),
            Shot(
                "aurora",
                "Curtains of green aurora sway over snowy mountains and are mirrored in a lake.",
                heavens.aurora,
                3.6,
                "wind+bells",
            ),
        ),
        size=(960, 540),
        fps=24,
    ),
    Film(
        "paper-theatre.mp4",
        "Paper theatre",
        "Animation",
        (
            Shot(
                "paper-ball",
                "A red ball bounces over green cut-paper hills under a paper sun and clouds on strings.",
                paper.bouncing_ball,
                4.5,
                "bells",
            ),
            Shot(
                "paper-whale",
                "A paper whale spouts among blue paper waves; stars hang on threads.",
                paper.paper_whale,
                5.0,
                "waves+bells",
            ),
            Shot(
                "candy-ball",
                "A green ball bounces over pink and violet paper hills.",
                paper.bouncing_ball,
                3.0,
                "bells",
                seed=12,
                style={"mood": "candy"},
            ),
            Shot(
                "clockwork",
                "Brass wheels of a clock turn into each other; a balance wheel swings.",
                clock.clockwork,
                4.5,
                "ticks",
                into="dissolve",
            ),
            Shot(
                "frozen-whale",
                "A paper whale among paper waves; nothing moves.",
                paper.paper_whale,
                3.0,
                "room",
                seed=5,
                pace=0.0,
            ),
        ),
        fps=24,
        in_table=True,
    ),
    Film(
        "moving-forms.webm",
        "Moving forms",
        "Experimental",
        (
            Shot(
                "kaleidoscope",
                "Coloured glass turns in a kaleidoscope, folded into a star.",
                abstract.kaleidoscope,
                4.5,
                "chords",
            ),
            Shot("ink", "Coral, cream and teal inks flow into each other.", abstract.ink, 4.0, "wind+chords"),
            Shot("julia", "A Julia set unfolds its spirals in blue and gold.", abstract.julia, 4.0, "chords", seed=2),
            Shot(
                "lava-lamps",
                "Warm wax rises and parts in three lava lamps.",
                abstract.lava_lamp,
                4.0,
                "bubbles",
                into="dissolve",
            ),
            Shot(
                "pale-ribbons",
                "Bundles of fine red and orange lines weave over cream paper.",
                abstract.ribbons,
                3.5,
                "chords",
                seed=7,
                pace=0.45,
            ),
        ),
        fps=30,
        video="libvpx-vp9",
        audio="libopus",
        in_table=True,
    ),
    Film(
        "music-night.mp4",
        "Light that listens",
        "Music",
        (
            Shot(
                "music-ring",
                "A ring of coloured bars answers the beat of the music.",
                abstract.visualiser,
                5.0,
                "beats",
                starts_at=0.0,
            ),
            Shot(
                "mint-ink",
                "Mint, violet and yellow inks flow into each other.",
                abstract.ink,
                3.0,
                "beats",
                seed=11,
                style={"tones": "mint"},
            ),
            Shot(
                "music-row",
                "A mirrored row of coloured bars jumps with the tune.",
                abstract.visualiser,
                4.5,
                "beats",
                seed=4,
                style={"look": "row"},
                starts_at=0.0,
            ),
            Shot(
                "jellyfish",
                "Glowing pink jellyfish pulse upwards through dark blue water.",
                deep.jellyfish,
                4.5,
                "bubbles+chords",
                into="dissolve",
            ),
            Shot(
                "glowing-ribbons",
                "Bundles of glowing blue and pink lines weave in the dark.",
                abstract.ribbons,
                3.0,
                "chords",
                seed=8,
                pace=0.45,
            ),
        ),
        fps=25,
    ),
    Film(
        "match-day.mp4",
        "Match day",
        "Sports",
        (
            Shot("grey-card", "A flat grey card fills the picture.", cards.grey_card, 1.8, "room"),
            Shot(
                "football",
                "Two teams in red and blue pass a ball about on a striped pitch seen from above.",
                pitch.football,
                6.0,
                "crowd",
            ),
            Shot("sprint", "Four sprinters run on a red track before a full stand.", play.sprint, 5.0, "crowd+beats"),
            Shot(
                "rowing",
                "A yellow rowing eight draws its wake across green water, seen from above.",
                play.rowing,
                5.0,
                "waves",
            ),
            Shot("colour-card", "A colour chart lies on a grey table.", cards.colour_card, 2.0, "room"),
        ),
        fps=30,
    ),
    Film(
        "upright.mp4",
        "Held upright",
        "Narrative",
        (
            Shot(
                "lanterns",
                "Paper lanterns with candles inside rise from dark hills into a violet night.",
                fair.lanterns,
                4.5,
                "crowd+chords",
            ),
            Shot(
                "upright-leaves",
                "Red and golden leaves fall between the trunks of a sunlit wood.",
                seasons.autumn_leaves,
                4.0,
                "wind",
                seed=15,
            ),
            Shot(
                "teal-jellyfish",
                "Glowing teal jellyfish pulse upwards through dark water.",
                deep.jellyfish,
                4.0,
                "bubbles",
                seed=21,
                style={"hue": "teal"},
            ),
        ),
        size=(360, 640),
        fps=30,
    ),
    Film(
        "pocket-camera.mp4",
        "From a pocket camera",
        "Personal",
        (
            Shot(
                "small-cloud-sea",
                "A moonlit sea of clouds with a flock of birds.",
                heavens.cloud_sea,
                3.5,
                "wind",
                seed=3,
                style={"hour": "night"},
            ),
            Shot(
                "small-balloons",
                "Hot-air balloons drift over fields.",
                landscape.balloons,
                3.5,
                "wind",
                seed=17,
                style={"count": 5},
            ),
        ),
        size=(320, 240),
        fps=15,
        video="mpeg4",
    ),
    Film(
        "damaged.mp4",
        "A download that broke off",
        "Travel",
        (
            Shot(
                "moonlit-boat",
                "A sailing boat drifts over a dark sea under a full moon.",
                water.sunset_sea,
                4.0,
                "waves",
                seed=14,
                style={"hour": "moon"},
            ),
            Shot(
                "rose-aurora",
                "Curtains of pink aurora sway over mountains and a lake.",
                heavens.aurora,
                4.0,
                "wind",
                seed=3,
                style={"hue": "rose"},
            ),
        ),
        fps=25,
        cut_off=0.45,
    ),
)

BROKEN_PATH = f"{CAMERA}/not-a-video.mp4"
BROKEN_TEXT = "This is a letter that somebody named like a film. No player will open it.\n" * 40
