import pytest
from sample_speeds import BANDWIDTH, FLOPS, LAUNCH, kernel, product, speeds

from phalanx.profiling.costs.cost import Cost, of_product
from phalanx.profiling.machine.kernel_times import seconds, weight_bytes
from phalanx.profiling.machine.predict import HIGH, LOW, cold_seconds, parts_of, predict
from phalanx.profiling.machine.roofline import roofline
from phalanx.profiling.machine.tables import Table
from phalanx.profiling.results import Figures
from phalanx.profiling.tracing.graph import Kernel

HERE = speeds()


def test_a_large_product_takes_its_flops_over_the_speed() -> None:
    found = seconds(product(1024, 2048, 2048), HERE.tables)
    assert found == pytest.approx(2 * 1024 * 2048 * 2048 / FLOPS, rel=1e-3)


def test_a_product_beyond_the_grid_keeps_the_speed() -> None:
    one, four = (seconds(product(1024, n, 2048), HERE.tables) for n in (2048, 8192))
    assert four == pytest.approx(4 * one)


def test_products_of_half_precision_have_a_speed_of_their_own() -> None:
    half = product(256, 2048, 2048)._replace(dtype="bfloat16")
    assert seconds(half, HERE.tables) == pytest.approx(
        LAUNCH + 2 * 256 * 2048 * 2048 / FLOPS / 4, rel=1e-3
    )


@pytest.mark.parametrize("name", ["add", "no_such_operator", "mylib::twist", "sigmoid_", "le"])
def test_a_pointwise_kernel_takes_a_time_for_each_element(name: str) -> None:
    assert seconds(kernel(name, 2**21), HERE.tables) == pytest.approx(LAUNCH + 2**21 * 1e-9)


def test_a_softmax_over_a_vocabulary_is_no_slower_for_each_element_than_over_a_long_row() -> None:
    # The grid's rows end at 512. A longer row is not more work, only another shape.
    def softmax(width: int) -> Kernel:
        depth = 3 + 2 * (width - 1).bit_length()
        return kernel("_log_softmax", 2**24)._replace(cost=Cost(0, 2**24, depth))

    assert seconds(softmax(2**16), HERE.tables) == seconds(softmax(512), HERE.tables)


def test_a_fused_recurrent_layer_takes_a_time_for_each_position() -> None:
    def layer(length: int, name: str = "mkldnn_rnn_layer", times: int = 1) -> Kernel:
        cost = of_product((times * length, 8, 4 * 64, 128), 0, 1)
        return Kernel(name, "", "forward", cost, 1, 1, "float32", ())

    one, four = (seconds(layer(length), HERE.tables) for length in (32, 128))
    assert four == pytest.approx(4 * one)
    back = seconds(layer(32, "mkldnn_rnn_layer_backward", times=2), HERE.tables)
    assert back == pytest.approx(one)  # twice the products, over as many positions
    assert weight_bytes(layer(32)) == weight_bytes(layer(128)) == 4 * 64 * 128 * 4


def test_a_whole_encoder_layer_is_taken_apart_into_its_products() -> None:
    batch, length, width, inner, heads = 4, 64, 256, 1024, 8
    n = 4 * width + 2 * length + 2 * inner
    other = batch * (length * (23 * width + 2 * inner) + 6 * heads * length**2)
    cost = of_product((batch, length, n, width), other, 1)
    name = "_transformer_encoder_layer_fwd"
    found = seconds(Kernel(name, "", "forward", cost, 1, 1, "float32", ()), HERE.tables)
    # Beside them the softmax, the activation, and two norms, two sums and four copies of x.
    elements = batch * (heads * length**2 + length * inner + 8 * length * width)
    assert found == pytest.approx(cost.matmul / FLOPS + elements * 1e-9, rel=0.02)


def test_times_add_up_and_shares_to_one() -> None:
    kernels = [product(64, 64, 64, "a"), kernel("tanh", 2**18, "b"), kernel("add", 16, "b")]
    found = predict(kernels, HERE)
    alone = sum(seconds(each, HERE.tables) for each in kernels)
    assert found.seconds > alone
    assert found.dispatch_share + found.memory_share + found.compute_share == pytest.approx(1)
    assert (found.low, found.high) == (found.seconds * LOW, found.seconds * HIGH)
    assert LOW < 1 < HIGH


def test_training_and_calls_of_modules_cost_more_dispatch() -> None:
    apart = [kernel("add", 1, name) for name in "abcd"]
    together = [kernel("add", 1, "a") for _ in range(4)]
    trained = [*together, kernel("add", 1, "a", "backward")]
    assert parts_of(apart, HERE).dispatch > parts_of(together, HERE).dispatch
    more = parts_of(trained, HERE).dispatch - parts_of(together, HERE).dispatch
    assert more > parts_of(together[:1], HERE).dispatch - parts_of([], HERE).dispatch


def test_nothing_takes_no_time() -> None:
    assert predict([], HERE).seconds == 0


def test_weights_are_cold_once_the_cache_has_seen_other_bytes() -> None:
    cold = Table(((1e3, 1e6),), (1e-15, 1e-9))
    weights = 1000 * 1000 * 4
    first = [product(8, 1000, 1000, "a")]
    again = [*first, product(8, 1000, 1000, "b")]
    assert cold_seconds(first, cold) == pytest.approx(weights * 1e-9)
    assert cold_seconds(again, cold) == pytest.approx(2 * weights * 1e-9)  # others, of "b"


def test_a_loop_finds_its_weights_in_the_cache() -> None:
    cold = Table(((1e7, 1e8),), (1e-15, 1e-9))
    steps = [product(8, 1000, 1000, "cell") for _ in range(50)]
    assert cold_seconds(steps, cold) == pytest.approx(1000 * 1000 * 4 * 1e-9, rel=0.01)


def test_a_result_that_the_allocator_does_not_keep_costs_its_pages() -> None:
    below, above = kernel("add", 2**23 - 1024), kernel("add", 2**23)
    more = parts_of([above], HERE).memory - parts_of([below], HERE).memory
    assert more == pytest.approx(2**25 * HERE.fresh, rel=1e-2)


def figures(work: int, moved: int) -> Figures:
    return Figures(1, 1, 1, 1, work, work, moved, 0, 0)


def test_the_roof_slopes_up_to_the_ridge_and_is_flat_beyond() -> None:
    guess = predict([product(1024, 1024, 1024)], HERE)
    low = roofline(figures(1000, 1000), guess, HERE)
    assert low.ridge == FLOPS / BANDWIDTH
    assert (low.intensity, low.attainable) == (1.0, BANDWIDTH)
    assert roofline(figures(1000, 1), guess, HERE).attainable == FLOPS


@pytest.mark.parametrize(
    ("kernels", "verdict"),
    [
        ([product(1024, 1024, 1024)], "compute"),
        ([kernel("add", 2**21)], "memory"),
        ([kernel("add", 1)] * 9, "dispatch"),
    ],
)
def test_the_verdict_is_what_most_of_the_time_goes_to(kernels: list[Kernel], verdict: str) -> None:
    assert roofline(figures(1, 1), predict(kernels, HERE), HERE).verdict == verdict
