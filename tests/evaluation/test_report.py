"""Reports say what the figures say."""

from rich.console import Console

from perdure.evaluation.report import claims, print_return


def cell(psnr: float | None, share: float = 0.5) -> dict[str, float | None]:
    return {"psnr": psnr, "psnr_median": psnr, "ssim": 0.912, "sharpness": None, "share": share}


def figures(covered: float, uncovered: float, moving: float | None) -> dict[str, dict[str, dict[str, float | None]]]:
    nano = {"all": cell(27, 1.0), "covered": cell(covered), "uncovered": cell(uncovered), "moving": cell(moving)}
    view = {"all": cell(22, 1.0), "covered": cell(28), "uncovered": cell(15), "moving": cell(20)}
    return {"nano": nano, "view": view}


def test_claims_hold_or_fail_by_the_figures() -> None:
    assert [claim.holds for claim in claims(figures(26.0, 15.1, 20.1))] == [True, True, True]
    assert [claim.holds for claim in claims(figures(25.9, 15.0, 19.9))] == [False, False, False]


def test_no_pixels_no_claim() -> None:
    assert len(claims(figures(26, 16, None))) == 2
    assert len(claims({"nano": figures(26, 16, 20)["nano"]})) == 1


def test_every_figure_is_printed() -> None:
    console = Console(record=True, width=160)
    print_return(
        dict.fromkeys(("observed", "imagined_to_way_out", "imagined_to_truth"), figures(27.3, 16.4, None)), console
    )
    text = console.export_text()
    for piece in ("27.3 (27.3)", "0.912", "covered, 50.0%", "view", "holds"):
        assert piece in text, text
