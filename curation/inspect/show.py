"""A history as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curation.phases.report.numbers import amounts

_PASSED = {True: "[green]passed", False: "[bold red]failed", None: "[dim]not asked"}
_SHOWN_CLIPS = 200


def show(told: dict[str, Any], console: Console) -> None:
    """Print the history of a clip, or of a source, to a console that shows text as it is (`emoji=False`)."""
    if "clip_id" in told:
        _clip(told, console)
    else:
        _source(told, console)


def _clip(told: dict[str, Any], console: Console) -> None:
    decision, sample = told["decision"], told["sample"]
    console.print(f"[bold]clip {told['clip_id']}[/]  {_verdict(decision, told['not_cut'])}", highlight=False)
    _about_source(told["source"], console)
    _facts(console, "range", _range(told["range"], told["siblings"]))
    _facts(console, "measures", _numbers(told["measures"]))
    _facts(console, "scores", _numbers(told["scores"] or {}))
    _rules(told, console)
    if decision and decision["duplicate_of"]:
        _facts(console, "duplicate", [("repeats", decision["duplicate_of"])])
    if decision and decision["repeated_by"]:
        _facts(console, "duplicates", [("repeated by", ", ".join(decision["repeated_by"]))])
    _facts(console, "caption", _caption(told["caption"] or {}))
    if sample:
        _facts(console, "sample", _sample(sample))
    commands = [(f"source, {name}", command) for name, command in told["commands"]["of_source"].items()]
    commands += [(f"sample, {name}", command) for name, command in (told["commands"]["of_sample"] or {}).items()]
    console.print("\n[bold]to see it[/]")
    for name, command in commands:
        console.print(f"  [dim]{name}[/]", highlight=False)
        console.print(f"    {_value(command)}", highlight=False, soft_wrap=True)


def _source(told: dict[str, Any], console: Console) -> None:
    clips, failed = told["clips"], told["source"]["status"] == "failed"
    console.print(
        f"[bold]source {_value(told['source']['source_id'])}[/]  "
        + ("[bold red]failed" if failed else f"{amounts.plural(len(clips), 'clip')}, {told['kept']} kept"),
        highlight=False,
    )
    _about_source(told["source"], console)
    if not clips:
        return
    table = Table("clip", "from", "to", "frames", "what", "what became of it", box=None, pad_edge=False)
    for clip in clips[:_SHOWN_CLIPS]:
        table.add_row(
            clip["clip_id"],
            amounts.clock(clip["start_s"]),
            amounts.clock(clip["end_s"]),
            str(clip["frames"]),
            clip["kind"],
            _verdict(clip, None),
        )
    console.print()
    console.print(table)
    if len(clips) > _SHOWN_CLIPS:
        console.print(f"and {len(clips) - _SHOWN_CLIPS} more; --json has them all", highlight=False)


def _verdict(decision: dict[str, Any] | None, not_cut: str | None) -> str:
    if decision is None or decision["kept"] is None:
        return "[dim]not decided yet"
    if not_cut:
        return f"[bold red]kept, but could not be cut[/]: {_value(not_cut)}"
    if decision["kept"]:
        return "[bold green]kept"
    of = f" of {decision['duplicate_of']}" if decision["duplicate_of"] else ""
    return f"[bold red]dropped[/]: {_value(', '.join(decision['drop_reasons']))}{of}"


def _about_source(source: dict[str, Any], console: Console) -> None:
    found = []
    if source.get("codec"):
        found = [f"{source['codec']} {source['width']}×{source['height']}"]
        if source["fps"]:
            found += [f"{source['fps']:.6g} frames/s", amounts.span(source["duration_s"])]
        found.append(amounts.size(source["bytes"] or 0))
    facts = [("id", source["source_id"]), ("address", source["uri"]), ("status", source["status"] or "not split yet")]
    facts += [(name, source.get(name)) for name in ("error", "warning")]
    facts += [("found", ", ".join(found)), *((name, source.get(name)) for name in ("category", "licence", "caption"))]
    meta = source["meta"] or {}
    _facts(console, "source", [*facts, ("meta", ", ".join(f"{name}: {value}" for name, value in meta.items()))])


def _range(of: dict[str, Any], siblings: dict[str, Any]) -> list[tuple[str, Any]]:
    time = f"{of['start_s']:.3f} to {of['end_s']:.3f} s" if of["fps"] else "one picture"
    neighbours = [f"{name} {siblings[name]}" for name in ("before", "after") if siblings[name]]
    pieces = len(siblings["pieces"])
    return [
        ("time", f"{time}, {amounts.plural(of['frames'], 'frame')}, {of['width']}×{of['height']}"),
        ("exactly", f"{of['start_pts']} to {of['end_pts']} in units of {of['time_base']} s"),
        ("kind", f"{of['kind']} {of['scene']}" + (f", piece {of['piece'] + 1} of {pieces}" if pieces > 1 else "")),
        ("among", "; ".join([f"clip {siblings['number'] + 1} of {siblings['clips']} of its source", *neighbours])),
    ]


def _rules(told: dict[str, Any], console: Console) -> None:
    if not told["rules"]:
        return
    table = Table("rule", "this clip", "", box=None, pad_edge=False)
    for rule in told["rules"]:
        table.add_row(_value(rule["rule"]), _value(rule["value"]), _PASSED[rule["passed"]])
    known = {rule.get("reason") for rule in told["rules"]}
    for reason in told["decision"]["drop_reasons"] if told["decision"] else []:
        if reason not in known:
            table.add_row(_value(reason), "", _PASSED[False])
    console.print("\n[bold]rules[/]")
    console.print(table)


def _caption(caption: dict[str, Any]) -> list[tuple[str, Any]]:
    model = f", {caption['caption_model']}" if caption.get("caption_model") else ""
    captioner = f"{caption['captioner']}{model}" if caption.get("captioner") else None
    styles = [(f"  {each['style']}", each["text"]) for each in (caption.get("captions") or [])[1:]]
    flags = ", ".join(caption.get("caption_flags") or [])
    about = [("words", caption.get("caption_words")), ("by", captioner), ("flags", flags)]
    about += [("fits by CLIP", caption.get("caption_score")), ("error", caption.get("caption_error"))]
    return [("text", caption.get("caption")), *styles, *about]


def _sample(sample: dict[str, Any]) -> list[tuple[str, Any]]:
    end = sample["offset"] + sample["bytes"]
    return [
        ("where", f"{sample['tar']}, bytes {sample['offset']} to {end}, of generation {sample['generation']}"),
        ("sha256", sample["sha256"]),
        ("media", f"{amounts.plural(sample['frames'], 'frame')}, {sample['width']}×{sample['height']}"),
        ("cut", f"{sample['cut']}, {sample['lost_frames']} frames lost" if sample["cut"] else None),
        ("note", sample["note"]),
        ("sound", sample["sound"]),
    ]


def _numbers(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if name != "category"]


def _facts(console: Console, title: str, facts: Iterable[tuple[str, Any]]) -> None:
    """A heading and aligned lines; what has no value has no line."""
    told = [(name, _value(value)) for name, value in facts if value not in (None, "")]
    if not told:
        return
    console.print(f"\n[bold]{title}[/]")
    grid = Table.grid(padding=(0, 2))
    for name, value in told:
        grid.add_row(f"  [dim]{escape(name)}", value)
    console.print(grid)


def _value(value: Any) -> str:
    """A value as text for the terminal, which strangers' words must not command."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "" if value is None else str(value)
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
