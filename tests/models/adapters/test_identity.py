"""Identity: who is there counts, in no order; who is not there does not; the gate starts shut."""

import torch

from perdure.models.adapters.identity import Identity, Recognise

DIM, HEADS = 32, 2


def made() -> tuple[Identity, Recognise, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return Identity(12), Recognise(DIM, HEADS), torch.randn(2, 7, HEADS, DIM // HEADS), torch.randn(2, 3, 12)


def test_the_gate_starts_shut_and_opens() -> None:
    identity, recognise, q, features = made()
    everyone = torch.ones(2, 3, dtype=torch.bool)
    assert not recognise(q, *identity(features, everyone)).any()
    module = torch.nn.ModuleList([identity, recognise])
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (recognise(q, *identity(features, everyone)) - 1).square().mean().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())


@torch.no_grad()
def test_order_does_not_count_and_neither_does_who_is_absent() -> None:
    identity, recognise, q, features = made()
    torch.nn.init.ones_(recognise.gate)

    def seen(features: torch.Tensor, *present: bool) -> torch.Tensor:
        mask = torch.tensor(present, dtype=torch.bool).expand(len(features), -1)
        return recognise(q, *identity(features, mask))

    all_three = seen(features, True, True, True)
    torch.testing.assert_close(seen(features[:, [2, 0, 1]], True, True, True), all_three)
    two = seen(features, True, True, False)
    assert (two - all_three).abs().max() > 1e-3
    torch.testing.assert_close(seen(features[:, :2], True, True), two)
    changed = features.clone()
    changed[:, 2] = 9
    assert torch.equal(seen(changed, True, True, False), two)
    nobody = seen(features, False, False, False)
    assert nobody.isfinite().all()
    torch.testing.assert_close(seen(features[:, :0]), nobody)
    torch.testing.assert_close(recognise(q, *identity(features)), all_three)
