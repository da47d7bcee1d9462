"""The claims that a recurrent network's program is right at 10 and at 1,000 letters."""

from __future__ import annotations

from collections.abc import Sequence

from mechlab.analyses.distill.exact_at_lengths import AtLength
from mechlab.core.analysis import Claim

LONG = 1000  # letters, of claim `long`
EQUAL, EQUAL_LONG = 0.999, 0.99  # least lower ends of the intervals of the claims


def lengths_claims(rows: Sequence[AtLength]) -> dict[str, Claim]:
    """Return the claims that the program is right at 10 and at 1,000 letters; without a program they do not hold.

    Args:
        rows: of the network and the best constant outputs, and of the program and the untrained network's if there are.
    """
    claims = {}
    known = {(row.subject, row.length): row for row in rows}
    for slug, length, least in (("program", 10, EQUAL), ("long", LONG, EQUAL_LONG)):
        row = known.get(("program", length))
        controls = [known[key].share for key in (("constant", length), ("untrained", length)) if key in known]
        sequences = f"all random sequences of {length:,} letters (of at least {least:g} by the lower end of the 95 % "
        sequences += "interval)"
        if known["network", length].every:
            least = 1.0
            sequences = f"all {known['network', length].sequences:,} sequences of {length:,} letters"
        claims[slug] = Claim(
            f"There is a program that agrees with the network, and it is right at all positions of {sequences}; the "
            f"null is what the best constant outputs, or the untrained network's program, get right. A network that is "
            f"right no more often than constant outputs has no program by definition.",
            value=row.share if row else 0.0,
            threshold=least,
            holds=bool(row and row.right == row.sequences and row.interval[0] >= least),
            kind="exact" if row and row.every else "statistical",
            null=max(controls),
            interval=row.interval if row else None,
        )
    return claims
