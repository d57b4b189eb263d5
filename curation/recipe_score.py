"""What the recipe says of scoring: which scorers run, and with which models, texts and weights."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from curation.validate import Config

# The ten categories of Vimeo25M (LaVie, arXiv 2309.15103, figure 4), with texts of ours that tell them apart by sight.
VIMEO_CATEGORIES = {
    "Ads and Commercials": ["a shot from a commercial that shows off a product", "an advertisement with a brand name"],
    "Animation": ["a frame of an animated film", "a drawn cartoon", "a computer-generated 3D animation"],
    "Branded Content": [
        "a corporate film about a company at work",
        "a promotional portrait of people at their company",
    ],
    "Comedy": ["a scene of a comedy sketch", "people joking and making funny faces"],
    "Documentary": ["a shot from a documentary film", "an interview in a documentary"],
    "Experimental": ["an abstract experimental video", "a piece of video art with strange shapes and colours"],
    "Music": ["a shot from a music video", "a band playing on a stage", "a singer performing a song"],
    "Narrative": ["a dramatic scene of actors in a feature film", "a cinematic still of a short film with a story"],
    "Sports": ["athletes doing sports", "a shot of an extreme sports film"],
    "Travel": ["a travel film of a faraway landscape", "an aerial view of a city or a coast"],
}
_DEFAULT_CLIP = {"model": "ViT-L-14", "pretrained": "openai"}
_USES_CLIP = ("aesthetic", "categories", "prompts", "classifiers")

Texts = Annotated[
    list[str], Field(min_length=1), BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]


class Signal(Config):
    """The built-in scorer: needs no weights."""


class Technical(Config):
    """Blur, noise and borders by classical measures: needs no weights."""


class TextOverlay(Config):
    """The area of written text; needs the extra `ocr`, whose wheel brings the detector."""

    size: int = Field(384, ge=128, le=1024)
    """Pictures are looked at with this short side. Pixels."""
    certainty: float = Field(0.6, gt=0, lt=1)
    """Boxes that the detector is less sure of do not count."""


class Clip(Config):
    """The CLIP model that sees every picture once; its embeddings serve all the scores that need one."""

    model: str
    """A name of open_clip (ViT-L-14), or the path of a configuration in its manner (.json), both with `pretrained`; or
    hf-hub:ORG/REPOSITORY, or the path of a folder with open_clip_config.json, both with their own weights."""
    pretrained: str | None = None
    """A tag of open_clip's for the name (openai), or a checkpoint's path or URL."""

    @property
    def brings_weights(self) -> bool:
        return not self.model.endswith(".json") and (self.model.startswith("hf-hub:") or "/" in self.model)

    @model_validator(mode="after")
    def _has_weights(self) -> Clip:
        if self.brings_weights and self.pretrained is not None:
            raise ValueError(f"{self.model} brings its own weights; leave pretrained out")
        if not self.brings_weights and self.pretrained is None:
            raise ValueError(f"{self.model} needs pretrained: a tag such as openai, or a checkpoint's path or URL")
        return self


class Aesthetic(Config):
    """How pleasing a picture is, by a head on CLIP's embeddings.

    `model` and `pretrained` may stand here too, and are then those of `score.clip`.
    """

    head: str
    """The head's path or URL (.safetensors, or .pth without code): sac+logos+ava1-l14-linearMSE.pth for instance."""


class Categories(Config):
    """Which of some categories a clip is most like."""

    texts: dict[str, Texts] = Field(VIMEO_CATEGORIES, min_length=2)
    """Texts that describe each category; by default those of Vimeo25M."""


class Prompt(Config):
    """How much a clip looks like a text; or like some texts rather than others, where `against` is given."""

    model_config = ConfigDict(populate_by_name=True)

    texts: Texts = Field(alias="for")
    """What the clip should look like."""
    against: Texts | None = None
    """What it might look like instead."""


# Texts of ours for what is asked for most.
KNOWN_PROMPTS = {
    "watermark": {
        "for": [
            "a picture with a watermark across it",
            "a stock photo with a watermark",
            "a frame with a channel logo",
        ],
        "against": ["a clean picture without any text or logo", "a photo without a watermark"],
    },
    "nsfw": {
        "for": ["a pornographic picture", "a photo of naked people having sex", "a picture of explicit nudity"],
        "against": [
            "a picture that is safe for work",
            "a photo of dressed people",
            "a landscape, an animal or a thing",
        ],
    },
}


def _prompts(value: Any) -> Any:
    """A bare text stands for `for`, and a known name without texts for its own."""
    if not isinstance(value, dict):
        return value
    given = {name: {"for": prompt} if isinstance(prompt, (str, list)) else prompt for name, prompt in value.items()}
    return {name: prompt or KNOWN_PROMPTS.get(name, prompt) for name, prompt in given.items()}


class Score(Config):
    """Which scorers run; each writes columns of its own name."""

    signal: Signal | None = Signal()
    """Built in: colourfulness, contrast, sharpness and exposure of the pictures."""
    technical: Technical | None = None
    """Built in: blur, noise and borders of the pictures."""
    text_overlay: TextOverlay | None = None
    """How much of the pictures is written text."""
    clip: Clip | None = None
    """Embeddings. ViT-L-14 with openai's weights where a scorer needs some and this is not given."""
    aesthetic: Aesthetic | None = None
    """Aesthetic score; needs a head's weights."""
    categories: Categories | None = None
    """Zero-shot category."""
    prompts: Annotated[dict[str, Prompt], BeforeValidator(_prompts)] = {}
    """Scores by text: a column for each name. watermark and nsfw have texts of their own."""
    classifiers: dict[str, str] = {}
    """Scores by a head on the embeddings, such as LAION's for NSFW: a column for each name, weights by path or URL."""

    @model_validator(mode="before")
    @classmethod
    def _one_model(cls, data: Any) -> Any:
        """The model of `aesthetic` is that of `clip`; and whoever needs embeddings gets the default one."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        aesthetic = data.get("aesthetic")
        if isinstance(aesthetic, dict) and {"model", "pretrained"} & aesthetic.keys():
            of_head = {key: aesthetic[key] for key in ("model", "pretrained") if key in aesthetic}
            if data.get("clip") not in (None, of_head):
                raise ValueError("aesthetic names another model than clip; all scores share the embeddings of one")
            data["clip"] = of_head
            data["aesthetic"] = {key: value for key, value in aesthetic.items() if key not in of_head}
        if data.get("clip") is None and any(data.get(key) not in (None, {}) or _empty(data, key) for key in _USES_CLIP):
            data["clip"] = _DEFAULT_CLIP
        return data

    @field_validator("prompts", "classifiers")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
                raise ValueError(f"{name!r} becomes a column: use small letters, digits and underscores")
        return value


def _empty(data: dict[str, Any], key: str) -> bool:
    """`categories: {}` asks for the defaults, while no prompts are no prompts."""
    return key == "categories" and data.get(key) == {}
