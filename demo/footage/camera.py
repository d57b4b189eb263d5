"""The films that only lie around: long takes, rushes, a vertical one, a small one, a damaged one."""

from __future__ import annotations

from demo.footage.edit import Film, Shot
from demo.footage.scenes import abstract, cards, deep, fair, heavens, landscape, pitch, play, railway, seasons, water


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


FOUND: tuple[Film, ...] = (
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
