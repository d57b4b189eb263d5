"""Sound for each scene, made from sines and shaped noise; a rhythm that the music scenes also draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

TEMPO = 112.0
_BEAT = 60.0 / TEMPO
_PENTATONIC = (0, 3, 5, 7, 10, 12, 15, 17)
_BASS = (0, 0, 3, 5, 0, 0, -2, 3)


def kick_at(t: float) -> float:
    """How strongly the drum sounds at time t of a scene with beats, in 0..1."""
    since = t % _BEAT
    return float(np.exp(-5.0 * since)) * min(1.0, 0.15 + since / 0.09)


def bands_at(t: float, bands: int, seed: int) -> NDArray[np.float64]:
    """The loudness of each band of pitch at time t of a scene with beats, in 0..1."""
    band = np.arange(bands) / bands
    total = kick_at(t) * np.exp(-((band / 0.16) ** 2))
    step = int(t / (_BEAT / 2))
    for back in range(3):
        number = step - back
        if number >= 0:
            pitch = _melody(number, seed) / 24 * 0.6 + 0.25
            age = t - number * _BEAT / 2
            total += 0.9 * np.exp(-3.6 * age) * min(1.0, age / 0.08) * np.exp(-(((band - pitch) / 0.06) ** 2))
            total += 0.4 * np.exp(-3.6 * age) * min(1.0, age / 0.08) * np.exp(-(((band - pitch * 1.5) / 0.05) ** 2))
    total += 0.35 * float(np.exp(-14 * (t % (_BEAT / 2)))) * np.clip(band - 0.65, 0, 1) * 3
    return np.clip(total, 0, 1)


def _melody(step: int, seed: int) -> int:
    rng = np.random.default_rng(seed * 1000 + step % 16)
    return int(_PENTATONIC[int(rng.integers(len(_PENTATONIC)))])


def _pitch(semitones: float, base: float = 220.0) -> float:
    return float(base * 2 ** (semitones / 12))


def _shaped_noise(count: int, rate: int, low: float, high: float, tilt: float, rng: np.random.Generator) -> Wave:
    """Noise between two frequencies that falls off with frequency to the power of `tilt`."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / rate)
    gain = (
        np.maximum(frequency, 20.0) ** -tilt
        / (1 + (low / np.maximum(frequency, 1)) ** 4)
        / (1 + (frequency / high) ** 4)
    )
    wave = np.fft.irfft(spectrum * gain, count)
    return (wave / (np.abs(wave).max() + 1e-9)).astype(np.float32)


def _swell(count: int, rate: int, seconds: float, floor: float, phase: float) -> Wave:
    t = np.arange(count) / rate
    return (floor + (1 - floor) * (0.5 + 0.5 * np.sin(2 * np.pi * t / seconds + phase)) ** 1.5).astype(np.float32)


def _pluck(wave: Wave, start: float, rate: int, frequency: float, strength: float, decay: float) -> None:
    first = int(start * rate)
    count = min(len(wave) - first, int(rate * 5.0 / decay))
    if count <= 0:
        return
    t = np.arange(count) / rate
    tone = sum(np.sin(2 * np.pi * frequency * n * t) * np.exp(-decay * n**0.6 * t) / n**1.6 for n in (1, 2, 3, 4))
    wave[first : first + count] += (strength * tone * np.minimum(1, t * 250)).astype(np.float32)


def _chords(count: int, rate: int, rng: np.random.Generator) -> Wave:
    t = np.arange(count) / rate
    wave = np.zeros(count)
    root = float(rng.integers(-9, -2))
    for index, chord in enumerate([(0, 7, 12, 16), (-3, 4, 9, 12), (-7, 0, 9, 16), (-5, 2, 7, 14)] * 3):
        level = np.clip(1.3 - np.abs(t - index * 3.0 - 1.2) / 1.6, 0, 1)
        if not level.any():
            continue
        for note in chord:
            frequency = _pitch(root + note)
            shimmer = 1 + 0.15 * np.sin(2 * np.pi * (0.3 + 0.11 * note % 1) * t)
            wave += (
                level * shimmer * (np.sin(2 * np.pi * frequency * t) + 0.35 * np.sin(4 * np.pi * frequency * 1.002 * t))
            )
    return (wave / 6).astype(np.float32)


def _bells(count: int, rate: int, rng: np.random.Generator) -> Wave:
    wave = np.zeros(count, np.float32)
    start = 0.1
    while start < count / rate:
        _pluck(wave, start, rate, _pitch(int(rng.choice(_PENTATONIC)) + 12), 0.45, 2.6)
        start += float(rng.choice([0.25, 0.5, 0.5, 0.75]))
    return wave


def _beats(count: int, rate: int, rng: np.random.Generator, seed: int) -> Wave:
    t = np.arange(count) / rate
    in_beat = t % _BEAT
    wave = (
        0.8
        * np.sin(2 * np.pi * (48 * in_beat + 9 * (1 - np.exp(-22 * in_beat))))
        * np.exp(-6 * in_beat)
        * np.minimum(1, in_beat * 400)
    )
    hats = rng.standard_normal(count)
    hats[1:] -= hats[:-1].copy()
    wave += 0.07 * hats * np.exp(-45 * (t % (_BEAT / 2)))
    result = wave.astype(np.float32)
    for step in range(int(count / rate / (_BEAT / 2)) + 1):
        _pluck(result, step * _BEAT / 2, rate, _pitch(_melody(step, seed)), 0.28, 4.5)
        if step % 2 == 0:
            _pluck(result, step * _BEAT / 2, rate, _pitch(_BASS[step // 2 % 8], 55.0), 0.5, 3.0)
    return result


def _drops(count: int, rate: int, rng: np.random.Generator, each_second: float, base: float) -> Wave:
    wave = np.zeros(count, np.float32)
    for start in rng.random(int(each_second * count / rate) + 1) * count / rate:
        _pluck(wave, float(start), rate, base * float(rng.uniform(0.7, 2.2)), float(rng.uniform(0.1, 0.5)), 22)
    return wave


def _bursts(count: int, rate: int, rng: np.random.Generator) -> Wave:
    wave = 0.04 * _shaped_noise(count, rate, 100, 900, 0.5, rng)
    crack = _shaped_noise(rate, rate, 40, 2500, 0.7, rng) * np.exp(-5 * np.arange(rate) / rate)
    for start in np.arange(0.1, count / rate, 0.4) + rng.uniform(-0.1, 0.1):
        first = max(0, int(start * rate))
        part = min(rate, count - first)
        wave[first : first + part] += (0.7 * crack[:part]).astype(np.float32)
    return wave


def _ticks(count: int, rate: int, rng: np.random.Generator) -> Wave:
    wave = 0.03 * _shaped_noise(count, rate, 80, 400, 0.5, rng)
    for step in range(int(count / rate * 4) + 1):
        _pluck(wave, step / 4, rate, 1900.0 if step % 2 else 1400.0, 0.4, 60)
        if step % 8 == 0:
            _pluck(wave, step / 4, rate, 440.0, 0.35, 4)
    return wave


def _wheels(count: int, rate: int, rng: np.random.Generator) -> Wave:
    wave = 0.35 * _shaped_noise(count, rate, 40, 350, 0.4, rng)
    knock = _shaped_noise(rate // 8, rate, 60, 900, 0.3, rng) * np.exp(-26 * np.arange(rate // 8) / rate)
    for start in np.arange(0, count / rate, 0.62):
        for late, level in ((0.0, 0.5), (0.14, 0.35)):
            first = int((start + late) * rate)
            part = min(len(knock), count - first)
            if part > 0:
                wave[first : first + part] += (level * knock[:part]).astype(np.float32)
    return wave


def _layer(kind: str, count: int, rate: int, seed: int) -> Wave:
    rng = np.random.default_rng(seed)
    layers: dict[str, Callable[[], Wave]] = {
        "wind": lambda: 0.6 * _shaped_noise(count, rate, 120, 700, 0.3, rng) * _swell(count, rate, 4.3, 0.4, seed),
        "waves": lambda: 0.6 * _shaped_noise(count, rate, 60, 1800, 0.5, rng) * _swell(count, rate, 3.6, 0.25, seed),
        "rain": lambda: 0.25 * _shaped_noise(count, rate, 900, 7000, 0.1, rng) + _drops(count, rate, rng, 14, 900),
        "bubbles": lambda: 0.3 * _shaped_noise(count, rate, 40, 260, 0.3, rng) + 0.7 * _drops(count, rate, rng, 7, 420),
        "traffic": lambda: 0.5 * _shaped_noise(count, rate, 50, 500, 0.4, rng) * _swell(count, rate, 2.9, 0.45, seed),
        "crowd": lambda: 0.5 * _shaped_noise(count, rate, 350, 1500, 0.2, rng) * _swell(count, rate, 5.1, 0.5, seed),
        "chords": lambda: _chords(count, rate, rng),
        "bells": lambda: _bells(count, rate, rng),
        "beats": lambda: _beats(count, rate, rng, seed),
        "bursts": lambda: _bursts(count, rate, rng),
        "ticks": lambda: _ticks(count, rate, rng),
        "wheels": lambda: _wheels(count, rate, rng),
        "room": lambda: 0.04 * _shaped_noise(count, rate, 50, 300, 0.4, rng),
    }
    return layers[kind]()


def soundtrack(kinds: str, seconds: float, rate: int, seed: int) -> Wave:
    """One scene's sound, such as "waves+bells": soft at both ends, never beyond 0.8."""
    count = max(1, round(seconds * rate))
    wave = np.zeros(count, np.float32)
    for kind in kinds.split("+"):
        wave += _layer(kind, count, rate, seed)
    wave = np.tanh(wave).astype(np.float32) * np.float32(0.8)
    edge = min(count // 2, round(0.03 * rate))
    if edge:
        rise = np.linspace(0, 1, edge, dtype=np.float32)
        wave[:edge] *= rise
        wave[-edge:] *= rise[::-1]
    return wave
