"""The `reelmill` command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer
from rich.console import Console

from curation.errors import UserError
from training.commands import convert, sample

app = typer.Typer(
    help="Raw video to training-ready, captioned clips in WebDataset shards, and text-to-video models trained on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Manifest = Annotated[str, typer.Argument(help="A manifest (.yaml), or simply a folder, glob, table or URL of videos.")]
Out = Annotated[Optional[str], typer.Option(help="Folder, s3://… or gs://… of the dataset  [default: outputs/NAME]")]
Set = Annotated[
    Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Override a key, like split.max_seconds=10.")
]
Address = Annotated[Optional[str], typer.Option(help="Ray cluster: auto, or HOST:PORT  [default: this machine]")]
Metrics = Annotated[
    Optional[str],
    typer.Option(metavar="[HOST:]PORT", envvar="REELMILL_METRICS", help="Serve Prometheus metrics while it runs."),
]
Update = Annotated[bool, typer.Option("--update", help="Take over an output of another recipe; redo what changed.")]

RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try again what failed for a server that did not answer, or for a limit.")
]

_PHASES = {
    "ingest": "List what the manifest names and cut it into work units.",
    "split": "Decode the sources once: scenes, thumbnails, motion, sharpness.",
    "score": "Score the clips by their thumbnails.",
    "select": "Decide which clips are kept, by the manifest's rules.",
    "caption": "Caption the clips that pass the rules, then decide again.",
    "shard": "Cut the kept clips and pack them into WebDataset tars.",
    "report": "Write the report page.",
}


@app.command()
def curate(
    manifest: Manifest,
    out: Out = None,
    set_: Set = None,
    address: Address = None,
    update: Update = False,
    retry_failed: RetryFailed = False,
    metrics: Metrics = None,
) -> None:
    """Do all phases, from raw media to shards and a report. Run again to resume."""
    _guarded_run(manifest, out, set_, address, update, retry_failed, metrics, None)


@app.command()
def plan(
    manifest: Manifest,
    out: Annotated[
        Optional[str],
        typer.Option(help="Keep the prediction in this output; `curate` tells at its end how it compares."),
    ] = None,
    set_: Set = None,
    sample: Annotated[int, typer.Option(min=1, help="Sources of each kind that are measured, at most.")] = 24,
    seconds: Annotated[float, typer.Option(min=1, help="Wall time that measuring may take, about.")] = 120.0,
    excerpt: Annotated[float, typer.Option(min=1, help="Seconds of a longer film that are measured.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice.")] = 0,
    cluster: Annotated[
        Optional[str],
        typer.Option(metavar="SHAPE", help="cpus=64,gpus=4,cpu_price=0.04,gpu_price=2.5, or a .yaml of these keys."),
    ] = None,
    as_json: Annotated[Optional[Path], typer.Option("--json", metavar="FILE", help="Write it as JSON too.")] = None,
) -> None:
    """Measure a sample on this machine; predict clips, hours, bytes, CPU and GPU time, disk, and a cluster's price."""
    import json

    from curation import estimate, recipe
    from curation.estimate.cluster import cluster as shape
    from curation.estimate.show import show
    from curation.prediction import PREDICTION
    from curation.store import Place

    resolved = recipe.load(manifest, set_ or [])
    machines = shape(cluster) if cluster else None
    try:
        told = estimate.estimate(resolved, estimate.Asked(sample, seconds, excerpt, seed), machines)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    if out:
        Place(out).commit(PREDICTION, text.encode())
    if as_json:
        as_json.write_text(text, encoding="utf-8")
    show(told, Console(emoji=False))


def _phase_command(name: str, text: str) -> None:
    def command(
        manifest: Manifest,
        out: Out = None,
        set_: Set = None,
        address: Address = None,
        update: Update = False,
        metrics: Metrics = None,
    ) -> None:
        _guarded_run(manifest, out, set_, address, update, False, metrics, (name,))

    app.command(name=name, help=f"One phase: {text}")(command)


for _name, _text in _PHASES.items():
    if _name not in ("select", "report"):
        _phase_command(_name, _text)


@app.command(name="select", help=f"One phase: {_PHASES['select']}")
def select(
    manifest: Manifest,
    out: Out = None,
    set_: Set = None,
    address: Address = None,
    update: Update = False,
    metrics: Metrics = None,
    what_if: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="FIELD[.min|.max][=VALUES]",
            help="Decide nothing; show what a threshold would keep: signal, motion.max=p80,p90,0.5, frames=16:64:8",
        ),
    ] = None,
) -> None:
    if not what_if:
        _guarded_run(manifest, out, set_, address, update, False, metrics, ("select",))
        return
    from curation import recipe, whatif

    resolved = recipe.load(manifest, set_ or [])
    for asked in what_if:
        for found in whatif.what_if(out or f"outputs/{resolved.name}", asked, resolved):
            print("\n".join(whatif.lines(found)))


@app.command()
def weights(
    manifest: Annotated[str, typer.Argument(help="A manifest (.yaml).")],
    set_: Set = None,
) -> None:
    """Fetch the weights that a manifest's scorers need to this machine, and say where they are."""
    from curation import recipe
    from curation.models.scorers import fetch

    files = fetch(recipe.load(manifest, set_ or []).score)
    for file in files:
        print(file)
    print(f"{len(files)} files of weights are here" if files else "no weights are needed")


@app.command()
def verify(
    out: Annotated[str, typer.Argument(help="An output of `reelmill curate`; also behind http.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Sums, sizes, indexes, and a few clips of each shard.")
    ] = False,
    clips: Annotated[int, typer.Option(min=0, help="Clips of each shard that --quick looks at.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the choice of these clips.")] = 0,
    address: Address = None,
    journal: Annotated[Optional[Path], typer.Option(help="Where a stopped check notes how far it is.")] = None,
    generation: Annotated[
        Optional[int], typer.Option(min=0, help="The shards of an older generation  [default: all of the newest]")
    ] = None,
) -> None:
    """Check sums, checksums, every tar and every clip of an output; exit 1 and a list where anything is wrong."""
    from curation.addresses import scrubbed
    from curation.check import Quick
    from curation.verify import verify as verified

    mode = Quick(clips, seed) if quick else None
    try:
        wrong, told = verified(
            out, Console(stderr=True), quick=mode, address=address, journal=journal, generation=generation
        )
    except KeyboardInterrupt:
        _fail("stopped; run the same command again to go on from here", 130)
    for line in wrong:
        print(line)
    print(f"{scrubbed(out)}: {told}; " + (f"{len(wrong)} things are wrong" if wrong else "everything is right"))
    raise typer.Exit(1 if wrong else 0)


@app.command()
def inspect(
    out: Annotated[str, typer.Argument(help="An output of `reelmill curate`; also on s3, gs or behind http.")],
    name: Annotated[
        str,
        typer.Argument(help="A clip's id or its beginning, KEY.mp4 of a tar, or a source's id, address or file name."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Tell the whole history of a clip or a source: where it came from, why it was kept or dropped, how to play it."""
    import json

    from curation import inspect as inspecting
    from curation.inspect.show import show

    told = inspecting.history(out, name)
    if as_json:
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        show(told, Console(emoji=False))


@app.command(name="report")
def report(
    what: Annotated[
        str, typer.Argument(metavar="OUT", help="An output; also on s3, gs or behind http. Or a manifest, with --out.")
    ],
    out: Out = None,
    to: Annotated[
        Optional[str], typer.Option(metavar="FILE.html", help="Write the page there  [default: OUT/report/index.html]")
    ] = None,
    set_: Set = None,
    address: Address = None,
    update: Update = False,
) -> None:
    """Write the report page of an output: what went in, what was kept, why the rest was not, and pictures of both."""
    from curation import reporting

    if out is None and reporting.is_output(what):
        page, size = reporting.report(what, to, set_ or [])
        print(f"{page}: {size / 1e6:.1f} MB")
        return
    if to is not None:
        raise UserError(f"--to needs an output: {what} has no recipe.yaml")
    _guarded_run(what, out, set_, address, update, False, None, ("report",))


@app.command()
def prune(
    out: Annotated[str, typer.Argument(help="An output of `reelmill curate`.")],
    keep: Annotated[int, typer.Option(help="How many generations stay, the newest ones.", min=1)] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove old generations, and the shards that only they name. A training on one of them would break off."""
    from curation import generations
    from curation.store import Place

    place = Place(out)
    generations.read(place)
    with place.claimed():
        files = generations.prunable(place, keep)
        for file in files:
            print(file)
            if not dry_run:
                place.remove(file)
    print(f"{place.url()}: {len(files)} files {'would be ' if dry_run else ''}removed")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A training recipe (.yaml).")],
    set_: Set = None,
    ray: Annotated[Optional[int], typer.Option(min=1, help="Train with so many workers of Ray Train.")] = None,
    address: Address = None,
) -> None:
    """Train a model on shards by URL: --set data.url=https://…/manifest.json. Run again to resume."""
    from training.train import train as trained

    trained(recipe, set_ or [], ray=ray, address=address)


@app.command()
def peek(
    source: Annotated[str, typer.Argument(help="A dataset's manifest.json, folder or tars, or a training recipe.")],
    set_: Set = None,
    view: Annotated[Optional[str], typer.Option(help="base, interpolation or vsr  [default: recipe's, base]")] = None,
    out: Annotated[str, typer.Option(help="A .png, or a folder for several.")] = "peek.png",
    batches: Annotated[int, typer.Option(min=1, help="How many, one picture each.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Samples of a batch; a recipe has its own.")] = 4,
    seed: Annotated[Optional[int], typer.Option(help="Of the order  [default: recipe's, 0]")] = None,
) -> None:
    """Show batches as pictures, just as a trainer would see them: --set data.stride=2."""
    from training.peek import peek as peeked

    for path in peeked(source, set_ or [], view=view, out=out, batches=batches, batch=batch, seed=seed):
        print(path)


app.command()(convert)
app.command()(sample)


def _guarded_run(*arguments: Any) -> None:
    from curation.guard import guarded

    guarded(lambda: _told(lambda: _run(*arguments)))


def _run(
    manifest: str,
    out: str | None,
    set_: list[str] | None,
    address: str | None,
    update: bool,
    retry_failed: bool,
    metrics: str | None,
    phases: tuple[str, ...] | None,
) -> None:
    from curation import ledger, prediction, recipe
    from curation.estimate.show import beside
    from curation.run import ORDER, Run

    started = time.monotonic()
    console = Console(stderr=True)
    resolved = recipe.load(manifest, set_ or [])
    place = out or f"outputs/{resolved.name}"
    run = Run(
        resolved, place, address=address, update=update, retry_failed=retry_failed, metrics=metrics, console=console
    )
    try:
        worked = run.curate(phases or ORDER)
    except KeyboardInterrupt:  # typer would end without a word
        _fail("stopped; run the same command again to go on from here", 130)
    seconds = time.monotonic() - started
    if not worked:
        print(f"{run.out.url()}: nothing to do, everything is done already ({seconds:.1f} s)")
        return
    if phases is None or "shard" in phases:
        sums = ledger.balance(run.out)
        print(ledger.as_text(ledger.funnel(sums)))
        if not sums["clips"]["kept"]:
            print("no clip was kept: look at the reasons above, or in the report")
        if lines := prediction.compared(run.out):
            beside(lines, Console(emoji=False))
    cpu_s, peak_mb = run.usage
    told = f"done in {seconds:.1f} s, {cpu_s:.1f} CPU s in workers, at most {peak_mb:.0f} MB in one process"
    print(f"{run.out.url()}: {told}")


def main() -> None:
    """Entry point: one clear line and exit code 2 for what a user can cause, 1 for what went wrong in the data."""
    _told(app)


def _told(command: Callable[[], Any]) -> None:
    from curation.errors import Incomplete, LedgerError

    try:
        command()
    except UserError as error:
        _fail(str(error), 2)
    except (Incomplete, LedgerError) as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        sys.exit(1)


def _fail(text: str, code: int) -> NoReturn:
    from curation.addresses import scrubbed

    print(f"reelmill: {scrubbed(text)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
