# SPDX-License-Identifier: Apache-2.0
"""The report for people: tables that name mask, classes and threshold, and published numbers."""

from langocc.evaluate.markdown_occupancy import occupancy_text
from langocc.evaluate.published import PublishedRow, published_rows
from langocc.evaluate.rayiou import THRESHOLDS_M, RayTotals, ray_scores
from langocc.evaluate.render import RenderScores
from langocc.evaluate.report import Report, rayiou_intervals, retrieval_intervals
from langocc.evaluate.retrieval import SPLITS, Protocol, RetrievalResult
from langocc.evaluate.tables import faults_text, joined, percent, table, with_interval
from langocc.scenes.occ3d import OCC3D_CLASSES

_HEAD = ["method", "mIoU (classes)", "RayIoU", "IoU", "mAP all", "mAP visible"]


def markdown(report: Report, *, with_published: bool = True) -> str:
    """The whole report, with or without the table of published numbers."""
    return joined(
        f"# {report.provenance.name}, split {report.split}",
        _provenance(report),
        _beside(report) if report.beside else "",
        ""
        if report.occupancy is None
        else occupancy_text(report.occupancy, report.provenance.vocabulary, report.pictures),
        "" if report.rays is None else _rays(report.rays),
        "" if report.retrieval is None else _retrieval(report.retrieval),
        "" if report.rendering is None else _rendering(report.rendering),
        comparison(report) if with_published else "",
    )


def comparison(report: Report) -> str:
    """Our numbers in the first line of the table of the field."""
    head = [*_HEAD[:1], "supervision", "input", *_HEAD[1:], "grade", "source"]
    return joined(
        "## Beside published numbers",
        "Published: Occ3D-nuScenes validation, camera mask; the number of classes that mIoU is "
        "averaged over stands in brackets. Numbers on other data are not comparable. Grades: A the "
        "paper's abstract, C official code, P a quoted sentence of the paper, N third-party notes.",
        table(head, [_own_row(report), *map(_published_row, published_rows())]),
    )


def _published_row(row: PublishedRow) -> list[str]:
    classes = "?" if row.classes is None else row.classes
    miou = "–" if row.miou is None else f"{percent(row.miou)} ({classes})"
    numbers = (row.rayiou, row.iou, row.map_all, row.map_visible)
    name = f"{row.method} {row.year}"
    return [name, row.supervision, row.input, miou, *map(percent, numbers), row.grade, row.source]


def _beside(report: Report) -> str:
    """These numbers and those of other predictions, evaluated alike."""
    rows = [
        [other.provenance.name, *_numbers(other), _conventions(other)]
        for other in (report, *report.beside)
    ]
    return joined("## Side by side", table([*_HEAD, "conventions"], rows))


def _own_row(report: Report) -> list[str]:
    provenance = report.provenance
    where = f"{provenance.data or 'data not stated'}, {report.split}; {_conventions(report)}"
    first = [f"**{provenance.name}**", provenance.teacher or "–", "–"]
    return [*first, *_numbers(report), "ours", where]


def _conventions(report: Report) -> str:
    """What the numbers of a row depend on."""
    counts = report.occupancy
    if counts is None:
        return ""
    return f"mask {counts.options.mask}; {counts.level_name(counts.options.levels[0])}"


def _numbers(report: Report) -> list[str]:
    """One line of a table, under `_HEAD` without its first column."""
    miou = rayiou = iou = map_all = map_visible = "–"
    if report.occupancy is not None:
        scores = next(iter(report.occupancy.scores().values()))
        miou = f"{percent(scores.miou_17)} (17), {percent(scores.miou_15)} (15)"
        iou = percent(scores.occupied_iou)
    if report.rays is not None:
        rayiou = percent(ray_scores(report.rays.total()).rayiou)
    if report.retrieval is not None:
        split = report.retrieval.split("langocc", "all")
        map_all, map_visible = percent(split.map), percent(split.visible_map)
    return [miou, rayiou, iou, map_all, map_visible]


def _provenance(report: Report) -> str:
    provenance = report.provenance
    facts = {
        "predictions": provenance.predictions,
        "data": provenance.data,
        "checkpoint": ", ".join(f"{k} {v}" for k, v in provenance.checkpoint.items()),
        "initialisation": provenance.initialisation,
        "teacher": provenance.teacher,
        "vocabulary": provenance.vocabulary,
        "configuration": provenance.config and "in the JSON of this report",
    }
    return "\n".join(f"- {name}: {value or 'not stated'}" for name, value in facts.items())


def _rays(totals: RayTotals) -> str:
    scores = ray_scores(totals.total())
    at = [f"@{limit:g} m" for limit in THRESHOLDS_M]
    intervals = rayiou_intervals(totals)
    numbers = [with_interval(scores.rayiou, intervals["rayiou"])]
    numbers += map(with_interval, scores.at, intervals["at"])
    classes = [
        [i, name, *(percent(iou[i]) for iou in scores.class_iou)]
        for i, name in enumerate(OCC3D_CLASSES)
    ]
    return joined(
        "## RayIoU",
        table(["RayIoU", *at, "rays", "frames"], [[*numbers, scores.rays, totals.frames]]),
        "17 classes, those in neither labels nor predictions left out; no camera mask; depth where "
        "the ray leaves the first voxel that is not free.",
        f"{sum(totals.other_labels.values())} voxels, in {len(totals.other_labels)} frames, carry "
        "a label outside 0..17: they stop rays and belong to no class."
        if totals.other_labels
        else "",
        faults_text(totals.faults, "frames"),
        table(["id", "class", *at], classes),
    )


def _retrieval(result: RetrievalResult) -> str:
    parts = ["## Retrieval"]
    head = ["split", *_RETRIEVAL_HEAD]
    for protocol in result.protocols():
        rows = [[split, *_retrieval_numbers(result, protocol, split)] for split in SPLITS]
        parts += [f"Protocol `{protocol}`:", table(head, rows)]
        if result.kinds():
            parts += [f"Protocol `{protocol}`, by kind of text:", _by_kind(result, protocol)]
    return joined(
        *parts,
        "Empty rows have no positive point; they are left out of mAP.",
        faults_text(result.faults, "rows"),
        _retrieval_rows(result),
    )


_RETRIEVAL_HEAD = ["rows", "mAP", "mAP visible", "empty", "empty visible"]
_RETRIEVAL_HEAD += ["mAP, empty = 0", "visible, empty = 0"]


def _retrieval_numbers(
    result: RetrievalResult, protocol: Protocol, split: str, kind: str = ""
) -> list[object]:
    """One line of a table, under `_RETRIEVAL_HEAD`."""
    score = result.split(protocol, split, kind)
    intervals = retrieval_intervals(result, protocol, split, kind)
    every = with_interval(score.map, intervals["map"])
    visible = with_interval(score.visible_map, intervals["visible_map"])
    zeros = percent(score.map_empty_as_zero), percent(score.visible_map_empty_as_zero)
    return [score.rows, every, visible, score.empty, score.visible_empty, *zeros]


def _by_kind(result: RetrievalResult, protocol: Protocol) -> str:
    """Every kind in every split that was scored as a whole."""
    scored = {row.part for row in result.rows}
    rows = [
        [kind, split, *_retrieval_numbers(result, protocol, split, kind)]
        for kind in result.kinds()
        for split, parts in SPLITS.items()
        if scored.issuperset(parts)
    ]
    return table(["kind of text", "split", *_RETRIEVAL_HEAD], rows)


def _retrieval_rows(result: RetrievalResult) -> str:
    head = ["protocol", "split", "query", "AP", "AP visible", "positives", "points", "token"]
    rows = []
    for row in sorted(result.rows, key=lambda r: (r.protocol, r.part, r.query, r.token)):
        name = [row.protocol, row.part, row.query.replace("|", "\\|")]
        numbers = [percent(row.ap), percent(row.visible_ap), row.positives, row.points]
        rows.append([*name, *numbers, row.token])
    return table(head, rows)


def _rendering(scores: RenderScores) -> str:
    head = ["cosine", "depth error, m", "relative", "median relative", "within 1.25", "rays"]
    means = ("cosine", "absolute_m", "relative", "good")
    cosine, absolute, relative, good = (
        with_interval(getattr(scores, name), scores.intervals.get(name), 3) for name in means
    )
    row = [cosine, absolute, relative, f"{scores.median_relative:.3f}", f"{good} %", scores.rays]
    note = f"{scores.missed} rays rendered nothing; their cosine counts as 0. "
    note += "Brackets: 95 % over redrawn scenes."
    return joined("## Rendering along LiDAR rays", table(head, [row]), note)
