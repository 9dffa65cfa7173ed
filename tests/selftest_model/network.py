"""The self-test Whisper and what it is taught by.

Four things let so small a model learn on two cores: a CTC loss on the encoder,
a guide that pulls cross-attention to the sound each token belongs to, timestamp
embeddings that are a linear map of the encoder's own sinusoids (every time is
learnt from all times), and one shared row for all unused tokens.

Shapes: b windows, l tokens, t encoder steps of 20 ms, w = WIDTH.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tests.selftest_model import layout
from tests.selftest_model.windows import IGNORED

if TYPE_CHECKING:
    from tests.selftest_model.windows import Batch

WIDTH: Final = 128
HEADS: Final = 4
STEPS: Final = 1500  # encoder steps in 30 s
# (decoder layer, head): those that follow the sound exactly, and those that stay near it
ALIGNED: Final = ((2, (0, 1, 2)), (3, (0, 1)))
NEAR: Final = ((0, (0, 1)), (1, (0, 1, 2)))
_NEARBY: Final = 8  # steps

SHAPE: Final = {
    "num_mel_bins": 80,
    "d_model": WIDTH,
    "encoder_layers": 3,
    "decoder_layers": 4,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 4 * WIDTH,
    "decoder_ffn_dim": 4 * WIDTH,
    "max_source_positions": STEPS,
    "max_target_positions": 448,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}


class Network:
    """A Whisper over the compact tokens, its CTC head and the map that makes timestamps."""

    def __init__(self) -> None:
        end = layout.COMPACT[layout.END]
        self.whisper = WhisperForConditionalGeneration(
            WhisperConfig(
                vocab_size=layout.REST + 1,
                pad_token_id=end,
                bos_token_id=end,
                eos_token_id=end,
                decoder_start_token_id=layout.COMPACT[layout.START],
                **SHAPE,
            )
        )
        self.encoder = self.whisper.model.encoder
        self.decoder = self.whisper.model.decoder
        self.ctc = nn.Linear(WIDTH, len(layout.TEXT) + 1)
        self.times = nn.Linear(WIDTH, WIDTH)
        self._sinusoids = _sinusoids(layout.TIMES)
        # [REST + 1]: the shared row stands for so many tokens
        self._crowd = torch.zeros(layout.REST + 1)
        self._crowd[layout.REST] = math.log(layout.TOKENS - layout.REST)
        self._attended: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        for number, layer in enumerate(self.decoder.layers):
            layer.encoder_attn.register_forward_pre_hook(self._listen(number), with_kwargs=True)
            # A layer adds nothing until it has learnt: a checkpoint with fewer goes on where it was
            for out in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                nn.init.zeros_(out.weight)
                nn.init.zeros_(out.bias)

    def halve(self) -> None:
        """Compute in bfloat16: on two cores a step is bound by memory, and takes a third less."""
        for part in (self.whisper, self.ctc, self.times):
            part.to(torch.bfloat16)
        self._sinusoids = self._sinusoids.to(torch.bfloat16)

    def parameters(self) -> list[nn.Parameter]:
        """Give what is trained."""
        parts: tuple[nn.Module, ...] = (self.whisper, self.ctc, self.times)
        return [one for part in parts for one in part.parameters() if one.requires_grad]

    def load(self, path: str) -> None:
        """Go on from a checkpoint."""
        saved = torch.load(path)
        if tuple(saved["used"]) != layout.USED:
            raise ValueError(f"{path} was trained on another vocabulary")
        self.restore(saved)

    def restore(self, saved: dict[str, Any]) -> None:
        """Take the weights of `state`."""
        self.whisper.load_state_dict(saved["m"], strict=False)
        self.ctc.load_state_dict(saved["c"])
        self.times.load_state_dict(saved["p"])

    def state(self) -> dict[str, Any]:
        """Give all weights by part."""
        return {
            "m": self.whisper.state_dict(),
            "c": self.ctc.state_dict(),
            "p": self.times.state_dict(),
        }

    def table(self) -> torch.Tensor:
        """Give the embedding of every compact token, [REST + 1, w]."""
        rows = self.decoder.embed_tokens.weight
        times = self.times(self._sinusoids)
        return torch.cat([rows[: layout.FIRST_TIME], times, rows[layout.REST :]])

    def encode(self, mel: torch.Tensor, offset: int) -> torch.Tensor:
        """Hear windows [b, 80, 2t] that lie `offset` steps into the 30 s: [b, t, w]."""
        heard = functional.gelu(self.encoder.conv1(mel))
        heard = functional.gelu(self.encoder.conv2(heard)).permute(0, 2, 1)
        heard = heard + self.encoder.embed_positions.weight[offset : offset + heard.shape[1]]
        for layer in self.encoder.layers:
            out = layer(heard, attention_mask=None, layer_head_mask=None)
            heard = out[0] if isinstance(out, tuple) else out
        return self.encoder.layer_norm(heard)

    def losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float, float]:
        """Give cross entropy, CTC, guide, and the shares of right words and right times."""
        table = self.table()
        hearing = self.encode(batch.mel.to(table.dtype), batch.offset)
        heard = hearing.repeat(len(batch.inputs) // len(hearing), 1, 1)
        said = self.decoder(
            inputs_embeds=functional.embedding(batch.inputs, table),
            encoder_hidden_states=heard,
            use_cache=False,
        ).last_hidden_state
        scores = (said @ table.T).float() + self._crowd
        guide = self._guide(batch.stretches)
        wanted = batch.targets
        cross = functional.cross_entropy(
            scores.reshape(-1, layout.REST + 1), wanted.reshape(-1), ignore_index=IGNORED
        )
        best = scores.argmax(-1)
        texts = (wanted >= 0) & (wanted < len(layout.TEXT))
        times = (wanted >= layout.FIRST_TIME) & (wanted < layout.REST)
        right = (best == wanted)[texts].float().mean().item()
        timely = ((best - wanted).abs() <= 5)[times].float().mean().item()
        return cross, self._ctc(hearing, batch.spelt), guide, right, timely

    def _ctc(self, heard: torch.Tensor, spelt: list[list[int]]) -> torch.Tensor:
        rows = [row for row, tokens in enumerate(spelt) if tokens]
        if not rows:
            return torch.tensor(0.0)
        scores = functional.log_softmax(self.ctc(heard[rows]).float(), -1).transpose(0, 1)
        return functional.ctc_loss(
            scores,
            torch.tensor([token for row in rows for token in spelt[row]]),
            torch.full((len(rows),), scores.shape[0]),
            torch.tensor([len(spelt[row]) for row in rows]),
            zero_infinity=True,
        )

    def _listen(self, number: int) -> Any:
        """Make a hook that keeps what a layer's cross-attention was given."""

        def keep(_module: nn.Module, args: Any, named: Any) -> None:
            queries = named.get("hidden_states", args[0] if args else None)
            self._attended[number] = (
                queries,
                named.get("key_value_states", args[1] if len(args) > 1 else None),
            )

        return keep

    def _weights(self, number: int, heads: tuple[int, ...]) -> torch.Tensor:
        """Give log attention of some heads of a decoder layer, [b, l, heads, t]."""
        hidden, heard = self._attended[number]
        attention, size = self.decoder.layers[number].encoder_attn, WIDTH // HEADS
        asks = attention.q_proj(hidden).unflatten(-1, (HEADS, size))[:, :, list(heads)]
        keys = attention.k_proj(heard).unflatten(-1, (HEADS, size))[:, :, list(heads)]
        scores = torch.einsum("blhd,bthd->blht", asks, keys).float()
        return torch.log_softmax(scores * size**-0.5, -1)

    def _guide(self, stretches: torch.Tensor) -> torch.Tensor:
        """Penalise attention away from the stretch of sound a token belongs to.

        Aligned heads are asked to spread evenly over the stretch, so that the path
        of dynamic time warping changes token where the sound does; the others only
        to stay near. stretches: [b, l, 2] in steps, negative where a token has none.
        """
        owned = stretches[..., 1] >= 0
        if not owned.any():
            return torch.tensor(0.0)
        total = torch.tensor(0.0)
        first, last = stretches[owned].unbind(-1)  # [n]
        for number, heads in ALIGNED:
            weights = self._weights(number, heads)[owned]  # [n, heads, t]
            at = torch.arange(weights.shape[-1])
            inside = ((at >= first[:, None] - 0.5) & (at <= last[:, None] - 0.5)).float()
            inside = inside / inside.sum(-1, keepdim=True).clamp(min=1)
            evenly = -(weights * inside[:, None]).sum(-1)  # cross entropy with the even spread
            total = total + (evenly - (last - first).clamp(min=1).log()[:, None]).mean()
        for number, heads in NEAR:
            weights = self._weights(number, heads)[owned]
            at = torch.arange(weights.shape[-1])
            near = (at >= first[:, None] - _NEARBY) & (at <= last[:, None] + _NEARBY)
            total = total - torch.log((weights.exp() * near[:, None]).sum(-1) + 1e-4).mean()
        return total / (len(ALIGNED) + len(NEAR))


def _sinusoids(count: int) -> torch.Tensor:
    """Give Whisper's positions, [count, w]."""
    slowing = math.log(10_000) / (WIDTH // 2 - 1)
    rates = torch.exp(-slowing * torch.arange(WIDTH // 2))
    angles = torch.arange(count)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], 1).float()
