"""The part of the recipe that says where captions come from."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from curation.validate import Config

CaptionerName = Literal["source", "describe", "endpoint", "transformers"]
_SECRET = r"(api|access|secret)?[-_]?key|(access|auth|bearer)?[-_]?token|authorization|password|secret"
PROMPT = (
    "These pictures are taken from one video clip, in the order of time. Describe the clip in one to three plain "
    "sentences: who or what is seen, where, what happens, and how the camera moves. Say only what can be seen. "
    "Begin with the subject."
)


class Style(Config):
    """One kind of caption: what is asked for it, and of whom."""

    model_config = ConfigDict(populate_by_name=True)

    prompt: str = Field(PROMPT, min_length=1, max_length=20_000)
    """What a model is asked about a clip."""
    max_tokens: int = Field(256, ge=1, le=16_384)
    """A model's answer ends here, and is then flagged as truncated. Tokens."""
    captioners: list[CaptionerName] | None = Field(None, alias="from", min_length=1)
    """Who is asked, where it is not `caption.from`."""


class Prices(Config):
    """What an endpoint costs. Dollars for a million tokens."""

    input: float = Field(ge=0)
    """Of the prompt and the pictures."""
    output: float = Field(ge=0)
    """Of the answer."""


class Budget(Config):
    """What may be spent on one output, over all runs; then captioning ends, and can be resumed with more."""

    requests: int | None = Field(None, ge=0)
    """Answers."""
    tokens: int | None = Field(None, ge=0)
    """Of prompts, pictures and answers, as the server counts them; those in flight at the end come on top."""
    dollars: float | None = Field(None, ge=0)
    """By `prices`; those in flight at the end come on top."""


class Endpoint(Config):
    """A server that speaks OpenAI's chat protocol: vLLM, SGLang, llama.cpp, a hosted one."""

    url: str = Field(pattern=r"^https?://[^\s@?#]+$")
    """The address that ends before /chat/completions, for instance http://localhost:8000/v1."""
    model: str = Field(min_length=1)
    """The model's name, as the server knows it."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable, where the workers run, that holds the key. The key itself is never stored."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Requests in flight at any time, over the whole run."""
    pictures: Literal["images", "video"] = "images"
    """images: each an image_url. video: one video_url of JPEG frames, which vLLM takes."""
    temperature: float = Field(0.0, ge=0)
    """Of sampling; 0 takes the likeliest word."""
    body: dict[str, Any] = {}
    """More keys of the request's body, for instance top_p; null takes one out."""
    timeout_s: float = Field(120.0, gt=0)
    """A request that takes longer is tried again. Seconds."""
    tries: int = Field(6, ge=1, le=100)
    """After so many faults a clip stays without a caption, with the reason."""
    backoff_s: float = Field(1.0, ge=0)
    """The wait after the first fault; it doubles with every other. Seconds."""
    prices: Prices | None = None
    """See `Prices`."""
    budget: Budget | None = None
    """See `Budget`."""

    @field_validator("body")
    @classmethod
    def _open(cls, body: dict[str, Any]) -> dict[str, Any]:
        if secret := sorted(name for name in body if re.fullmatch(_SECRET, name, re.IGNORECASE)):
            raise ValueError(f"{secret[0]} would be stored with the recipe; name its variable in api_key_env")
        return body

    @model_validator(mode="after")
    def _priced(self) -> Endpoint:
        if self.budget and self.budget.dollars is not None and not self.prices:
            raise ValueError("budget.dollars needs prices: {input: …, output: …}, in dollars for a million tokens")
        return self


class LocalModel(Config):
    """An image- or video-text-to-text model of Hugging Face, run by the workers."""

    model: str = Field(min_length=1)
    """A folder, or a name on the hub. Weights are safetensors; code that comes with a model is never run."""
    revision: str | None = None
    """A commit, branch or tag on the hub."""
    pictures: Literal["images", "video"] = "images"
    """How the model is shown a clip: as several images, or as the frames of a video."""
    batch: int = Field(8, ge=1)
    """Clips in one forward pass."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights; auto is as they are stored on a GPU, and float32 on a CPU."""


class Caption(Config):
    """Where captions come from."""

    model_config = ConfigDict(populate_by_name=True)

    captioners: list[CaptionerName] = Field(["source", "describe"], alias="from", min_length=1)
    """Asked in this order; the first that answers is taken."""
    styles: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")], Style] = Field(
        {"caption": Style()}, min_length=1
    )
    """The captions of a clip by name; the first is the primary one."""
    language: str | None = Field("en", pattern=r"^[a-z]{2,3}$")
    """Captions in another language are flagged; null for any. ISO 639 code."""
    endpoint: Endpoint | None = None
    """See `Endpoint`."""
    transformers: LocalModel | None = None
    """See `LocalModel`."""

    @model_validator(mode="after")
    def _complete(self) -> Caption:
        asked = {name for style in self.styles.values() for name in style.captioners or self.captioners}
        for name in ("endpoint", "transformers"):
            if name in asked and getattr(self, name) is None:
                raise ValueError(f"`from` names {name}, which needs {name}: {{model: …}}")
            if name not in asked and getattr(self, name) is not None:
                raise ValueError(f"{name} is described and never asked; name it in `from`")
        return self
