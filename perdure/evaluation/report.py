"""Reports: figures as tables that a person can read, and whether they are what was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

ENOUGH = 26.0  # dB of `nano` where the view had seen the place before

TITLES = {
    "observed": "Told the truth on the way out; the way back against the truth",
    "imagined_to_way_out": "Drawn on the way out too; the way back against the way out, what stands still",
    "imagined_to_truth": "Drawn on the way out too; the way back against the truth",
}


@dataclass(frozen=True)
class Claim:
    says: str
    figure: str
    holds: bool


def print_return(figures: Mapping[str, Any], console: Console) -> None:
    """What `persistence.return_trip` found: a table for each condition, then the claims."""
    for name, title in TITLES.items():
        console.print(return_table(title, figures[name]))
    console.print("dB median over scenes (pooled over all pixels) · SSIM · sharpness, 1 being the truth's", style="dim")
    for claim in claims(figures["observed"]):
        console.print(f"{'holds' if claim.holds else 'fails':<6} {claim.says}: {claim.figure}")


def return_table(title: str, rows: Mapping[str, Any]) -> Table:
    """A line for each row of a condition, a column for each region."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    table.add_column("")
    for region, cell in next(iter(rows.values())).items():
        table.add_column(f"{region}, {100 * cell['share']:.1f}%", justify="right")
    for row, regions in rows.items():
        table.add_row(row, *(cell_text(cell) for cell in regions.values()))
    return table


def cell_text(cell: Mapping[str, float | None]) -> str:
    if cell["psnr"] is None:
        return "-"
    median, pooled, ssim, sharp = (cell[name] for name in ("psnr_median", "psnr", "ssim", "sharpness"))
    figures = f"{median:.1f} ({pooled:.1f})"
    figures += "" if ssim is None else f" · {ssim:.3f}"
    return figures + ("" if sharp is None else f" · {sharp:.2f}")


def claims(observed: Mapping[str, Any]) -> list[Claim]:
    """What was asked of `nano`, by medians over scenes; what cannot be told for want of pixels or rows is left out."""
    drawn, out = observed["nano"], list[Claim]()
    covered = drawn["covered"]["psnr_median"]
    if covered is not None:
        out.append(Claim(f"nano has {ENOUGH:.0f} dB on covered pixels", f"{covered:.2f}", covered >= ENOUGH))
    for region in ("uncovered", "moving"):
        mine, view = (observed[row][region]["psnr_median"] if row in observed else None for row in ("nano", "view"))
        if mine is not None and view is not None:
            out.append(Claim(f"nano is above the view on {region} pixels", f"{mine:.2f} to {view:.2f}", mine > view))
    return out
