"""Which blocks run without the probe."""

from hypothesis import given
from hypothesis import strategies as st

from luckyhit.workflow.probe_controls import CONTROL_EVERY, NEGLIGIBLE, control_pairs, probe_share, with_controls
from noted import noted

SHARES = st.floats(0, 20)


@given(pairs=st.integers(1, 60), share=SHARES)
def test_each_control_has_a_pair_with_the_probe_before_it(pairs: int, share: float) -> None:
    controls = control_pairs(pairs, share)
    assert controls <= set(range(2, pairs + 1))
    assert not any(pair - 1 in controls for pair in controls)
    assert 2 * len(controls) <= pairs
    assert len(controls) <= 1 + pairs / CONTROL_EVERY


@given(pairs=st.integers(2, 60), share=SHARES)
def test_a_probe_that_is_not_negligible_has_a_control(pairs: int, share: float) -> None:
    assert bool(control_pairs(pairs, share)) is (share > NEGLIGIBLE)


def test_the_share_is_what_the_baseline_measured() -> None:
    blocks = [
        {"block": 0, "stage": "wash-out", "probe": {}},
        {"block": 1, "stage": "baseline", "probe": {"share": 0.3}},
        {"block": 2, "stage": "change", "probe": {"share": 0.9}},
    ]
    assert probe_share(noted(blocks)) == 0.3
    assert probe_share(noted([{"block": 0, "stage": "baseline", "probe": {}}])) == 0.0


@given(blocks=st.integers(1, 60), share=SHARES, on_top=st.booleans())
def test_controls_on_top_take_no_block_from_the_probe(blocks: int, share: float, on_top: bool) -> None:
    pairs, controls = with_controls(blocks, share, on_top=on_top)
    assert controls == control_pairs(blocks, share) <= set(range(2, pairs + 1))
    assert pairs - len(controls) == (blocks if on_top else blocks - len(controls))
