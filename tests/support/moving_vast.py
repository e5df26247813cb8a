"""Vast.ai on loopback with time that passes by itself: an instance gets one state further each time it is looked at."""

from dataclasses import dataclass, field
from typing import Any

from support.fake_vast import FakeVast


@dataclass
class MovingVast(FakeVast):
    """``stands_still`` lists machines, by their number, that never get anywhere."""

    stands_still: set[int] = field(default_factory=set)
    max_stage: int = 99
    """How far instances get."""

    def _get(self, number: int, body: Any) -> tuple[int, Any]:
        answer = super()._get(number, body)
        found = self.instances.get(number)
        if found is not None and found.ask["machine_id"] not in self.stands_still and found.stage < self.max_stage:
            kept = [each for each in self.instances.values() if each is not found]
            stages = [each.stage for each in kept]
            self.step()
            for each, stage in zip(kept, stages, strict=True):
                each.stage = stage
        return answer
