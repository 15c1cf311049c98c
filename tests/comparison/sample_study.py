"""A study written by hand, for tests of the report alone: its figures were never measured."""

from __future__ import annotations

import math

from phalanx.comparison.results import (
    FORMAT,
    Cell,
    Claim,
    CurvePoint,
    DistancePoint,
    Level,
    Row,
    ScalingPoint,
    SizePoint,
    Study,
    Tagger,
    Trained,
    Verdict,
)

MODELS = ("rnn", "lstm", "gru", "mingru", "transformer")
ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"

# Dependent kernels a position, fixed kernels, and whether the depth is a logarithm of T.
SPANS = {"rnn": (12.0, 12), "lstm": (30.0, 9), "gru": (36.0, 12), "mingru": (0.0, 90)}
RATES = {"rnn": 18_400, "lstm": 25_100, "gru": 21_300, "mingru": 16_200, "transformer": 12_050}
NON_EMBEDDING = {"rnn": 789_504, "lstm": 792_064, "gru": 785_920, "mingru": 788_992}


def span(model: str, length: int) -> float:
    if model == "transformer":
        return 100.0
    slope, fixed = SPANS.get(model, (6.0, 5))
    return fixed + (12.0 * math.log2(length) if model == "mingru" else slope * length)


def _depth(model: str) -> Verdict:
    verdict = {"mingru": "logarithmic", "transformer": "parallel"}.get(model, "serial")
    return Verdict(
        verdict=verdict,
        figure=SPANS.get(model, (0.0, 0))[0],
        unit="kernels_per_position",
        threshold="> 0.5 serial, < 0.05 parallel",
        how="Traced at T = 64, 128, 256 on meta tensors; slope of a fit on 1, log2 T and T.",
    )


def _clock(model: str) -> Verdict:
    if model == "gru":
        return Verdict(
            verdict="inconclusive",
            figure=1.31,
            unit="time_growth",
            threshold="> 1.6 serial, < 1.4 parallel",
            low=0.92,
            high=2.18,
            how="The control kernel varied by 61 % between repeats: the machine was busy.",
        )
    growth = {"mingru": 1.48, "transformer": 1.92}.get(model, 1.97)
    return Verdict(
        verdict="serial",
        figure=growth,
        unit="time_growth",
        threshold="> 1.6 serial, < 1.4 parallel",
        low=growth - 0.04,
        high=growth + 0.07,
        how="Median of 5 interleaved repeats at T = 512 and 1024, batch 1.",
    )


def _cell(structure: Verdict, machine: Verdict) -> dict[str, Cell]:
    return {"": Cell(structure, machine)}


def _rows(models: tuple[str, ...]) -> list[Row]:
    def training(model: str) -> Cell:
        answer = {"mingru": "logarithmic", "transformer": "yes"}.get(model, "no")
        return Cell(
            Verdict(answer, span(model, 1024), "kernels", "< 200 yes, > 1000 no", how="Traced."),
            Verdict(
                "yes" if model == "lstm" else "partly",
                float(RATES.get(model, 15_000)),
                "tokens_per_second",
                "> 20000 yes, < 5000 no",
                RATES.get(model, 15_000) * 0.97,
                RATES.get(model, 15_000) * 1.02,
                "Non-padding tokens of the training run after warm-up.",
            ),
        )

    def one_pass(model: str) -> Cell:
        answer = {"mingru": "logarithmic", "transformer": "yes"}.get(model, "no")
        figure = SPANS.get(model, (0.0, 0))[0] / 2
        return Cell(
            Verdict(answer, figure, "kernels_per_position", "< 0.05 yes, > 0.5 no", how="Traced."),
            Verdict("not_measured", None, "time_growth", "", how="The budget ended before it."),
        )

    def generation(model: str) -> Cell:
        return Cell(
            Verdict("no", 1.0, "calls_per_token", "> 0.95 no", how="Call t reads call t-1."),
            Verdict(
                "no",
                0.00042,
                "seconds_per_token",
                "",
                0.00040,
                0.00047,
                how="Median of 5 repeats of 64 tokens.",
            ),
        )

    def distance(model: str) -> Cell:
        answer = "one_step" if model == "transformer" else "linear"
        recall = {"rnn": None, "lstm": 0.71, "gru": 0.64, "mingru": 0.41}.get(model, 0.998)
        machine = (
            Verdict("not_learned", 0.31, "recall", "", how="Recall at distance 4 is below 0.95.")
            if recall is None
            else Verdict(
                "reaches" if recall > 0.9 else "fades",
                recall,
                "recall",
                "> 0.9 reaches, < 0.2 vanishes",
                recall - 0.02,
                min(recall + 0.02, 1.0),
                how="Recall accuracy at distance 64; chance is 0.0625.",
            )
        )
        hops = 0.0 if model == "transformer" else 1.0
        return Cell(
            Verdict(answer, hops, "hops_per_position", "< 0.05 one_step, > 0.5 linear"), machine
        )

    def hardware(model: str) -> Cell:
        share = {"transformer": 0.981, "lstm": 0.962, "gru": 0.958}.get(model, 0.934)
        peak = {"transformer": 0.312, "lstm": 0.488, "rnn": 0.0941}.get(model, 0.22)
        return Cell(
            Verdict("high", share, "share_of_work", "> 0.9 high, < 0.5 low"),
            Verdict(
                "fair" if peak > 0.1 else "poor",
                peak,
                "share_of_peak",
                "> 0.5 good, < 0.1 poor",
                peak * 0.95,
                peak * 1.03,
            ),
        )

    return [
        Row("core_dependency", {m: _cell(_depth(m), _clock(m)) for m in models}),
        Row("parallel_training", {m: {"": training(m)} for m in models}),
        Row(
            "parallel_inference",
            {m: {"autoregressive": generation(m), "one_pass": one_pass(m)} for m in models},
        ),
        Row("long_range_dependency", {m: {"": distance(m)} for m in models}),
        Row("hardware_friendliness", {m: {"": hardware(m)} for m in models}),
    ]


def _trained(model: str, index: int) -> Trained:
    rate = RATES.get(model, 15_000)
    floor = {"transformer": 1.18, "mingru": 1.34, "gru": 1.31, "lstm": 1.27}.get(model, 1.52)
    steps = [0, 25, 50, 100, 200, 400, 800]
    flops = 5.0e6
    curve = []
    for step in steps:
        tokens = step * 1024
        loss = floor + (4.6 - floor) / (1 + tokens / (9_000 * (1.6 if index < 3 else 1.0)))
        curve.append(
            CurvePoint(
                step,
                tokens,
                tokens * flops,
                tokens / rate,
                loss,
                {"bits_per_byte": loss / math.log(2) / 1.1},
            )
        )
    last = curve[-1]
    return Trained(
        name=model,
        parameters=NON_EMBEDDING.get(model, 790_528) + 32_768,
        non_embedding_parameters=NON_EMBEDDING.get(model, 790_528),
        config={"width": 128, "layers": 4, "mixers": [model] * 4, "dropout": 0.0},
        schedules={model: "sdpa" if model == "transformer" else "fused"},
        learning_rate=3e-3,
        optimizer="muon + adamw",
        tuning_trials=12,
        steps=800,
        tokens=last.tokens,
        seconds=last.seconds,
        flops_per_token=flops,
        tokens_per_second=float(rate),
        tokens_per_second_low=rate * 0.96,
        tokens_per_second_high=rate * 1.02,
        peak_memory_bytes=None if model == "gru" else 212 * 2**20 + index * 2**24,
        curve=curve,
        loss_at_equal_tokens=last.loss,
        loss_at_equal_seconds=curve[-2].loss - 0.01 * rate / 12_050,
        bits_per_byte=last.scores["bits_per_byte"],
        prompt="def parse(",
        sample="def parse(self, text):\n    if not text:\n        return self.parse(text)\n    "
        + (ATTACK if index == 0 else "for name in self.names:\n        yield name, text\n"),
    )


def _scaling(models: tuple[str, ...]) -> list[ScalingPoint]:
    points = []
    for model in models:
        for mode, factor in (("train", 1.0), ("forward", 0.45), ("decode", 1.0)):
            for length in (64, 128, 256, 512, 1024):
                kernels = span(model, length) * factor
                growth = length if mode != "decode" else 64
                seconds = 3e-5 * kernels ** (0.8 if mode != "decode" else 0.3) + 4e-8 * growth**1.6
                points.append(
                    ScalingPoint(
                        model=model,
                        mode=mode,
                        length=length,
                        span=kernels if mode != "decode" else 47.0,
                        work=5.0e6 * length,
                        seconds=seconds,
                        low=seconds * 0.93,
                        high=seconds * 1.18,
                    )
                )
    return points


def _distances(models: tuple[str, ...]) -> list[DistancePoint]:
    points = []
    rates = {"rnn": 0.82, "lstm": 0.955, "gru": 0.96, "mingru": 0.94, "transformer": 1.0}
    for model in models:
        for distance in (1, 2, 4, 8, 16, 32, 64, 128):
            keep = rates.get(model, 1.0)
            norm = keep**distance if keep < 1 else 0.4 / math.sqrt(distance)
            points.append(DistancePoint(model, "gradient", "fresh", distance, norm))
            points.append(
                DistancePoint(
                    model, "gradient", "trained", distance, norm ** (0.7 if keep < 1 else 1)
                )
            )
            hops = 1 if model == "transformer" else distance
            points.append(DistancePoint(model, "hops", "", distance, float(hops)))
            if distance >= 4 and model != "rnn":
                recall = 0.0625 + 0.93 * keep ** (distance / 8)
                points.append(DistancePoint(model, "recall", "trained", distance, recall))
    for radius, base in (("0.5", 0.5), ("1", 0.98), ("1.5", 1.2)):
        for distance in (1, 2, 4, 8, 16, 32):
            points.append(
                DistancePoint("rnn", "gradient", f"radius {radius}", distance, base**distance)
            )
    return points


def _sizes(models: tuple[str, ...]) -> list[SizePoint]:
    points = []
    for model in models:
        for step, parameters in enumerate((100_000, 400_000, 1_600_000, 6_400_000)):
            share = 0.2 + 0.15 * step if model in ("mingru", "transformer") else 0.3 - 0.05 * step
            points.append(
                SizePoint(model, parameters, share * 1.31e11, share, 0.9 * share, 1.1 * share)
            )
    return points


def _claims(models: tuple[str, ...]) -> list[Claim]:
    claims = []
    for number in range(1, 13):
        for model in models:
            claims.append(Claim(f"C{number}", model, _depth(model), _clock(model)))
    claims.append(Claim("B1", "mingru", _depth("mingru"), None))
    return claims


def sample_study(models: tuple[str, ...] = MODELS, language: str = "en") -> Study:
    """Return a study with every part filled in, an attack in its texts and a model that failed."""
    return Study(
        format=FORMAT,
        created="2026-01-31T12:34:56+00:00",
        command=f"phalanx compare {' '.join(models)} --corpus stdlib --budget 120s # {ATTACK}",
        language=language,
        corpus={
            "name": "stdlib",
            "hash": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
            "files": 412,
            "bytes": 5_812_345,
            "train_tokens": 2_104_113,
            "validation_tokens": 233_112,
            "tokenizer": "bpe, vocabulary 1024",
        },
        machine={
            "processor": "Example processor at 2.1 GHz",
            "cores": 2,
            "threads": 2,
            "wait_policy": "PASSIVE",
            "bf16": False,
            "peak_flops_fp32": 1.31e11,
            "bandwidth": 1.9e10,
            "gpu": None,
            "versions": {"python": "3.11.9", "torch": "2.13.0", "phalanx": "0.1.0"},
        },
        budget_seconds=120.0,
        elapsed_seconds=117.3,
        models=[_trained(model, index) for index, model in enumerate(models)],
        rows=_rows(models),
        levels=[
            Level("positions", "transformer", 0.0021, 0.0872, 41.5, 38.9, 44.2, 3.1e-7, 1e-5, True),
            Level("heads", "transformer", 0.0021, 0.0030, 1.43, 1.36, 1.52, 2.4e-7, 1e-5, True),
            Level(
                *("feed_forward_positions", "transformer", 0.0018, 0.0513),
                *(28.5, 27.1, 30.6, 0.0, 1e-5, True),
            ),
            Level("batch_rows", "transformer", 0.0081, 0.0164, 2.02, 1.91, 2.2, 1.2e-7, 1e-5, True),
            Level("batch_rows", "rnn", None, None, None, None, None, 0.31, 1e-5, False),
        ],
        claims=_claims(models),
        scaling=_scaling(models),
        distances=_distances(models),
        taggers=[
            Tagger("encoder", 812_000, 12.4, 0.981, 0.412, 1, 0.0, {"128": 2.1, "512": 7.9}),
            Tagger(
                "bidirectional lstm", 808_000, 12.4, 0.974, 0.412, 1, 7.0, {"128": 3.0, "512": 11.2}
            ),
        ],
        contract={
            "non_embedding_parameters": {
                model: NON_EMBEDDING.get(model, 790_528) for model in models
            },
            "parameters_matched": "within 0.8 %",
            "tokenizer": "bpe, vocabulary 1024",
            "data_order": dict.fromkeys(models, "seed 0"),
            "tokens_seen": dict.fromkeys(models, 819200),
            "tuning_trials": dict.fromkeys(models, 12),
            "dtype": "float32",
        },
        notes=["Predicted crossover of lstm and transformer: 14 parallel workers.", ATTACK],
        recall_chance=0.0625,
        sizes=_sizes(models),
    )
