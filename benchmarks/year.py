"""A year of many cameras, hour by hour, from measured unit costs: what has to be bought, what breaks first.

    python benchmarks/year.py --cameras 10000

Cameras stand at sites, whose box embeds their footage and sends rows, not video. Boxes fail and come back, links go
down and catch up, nights are quiet, months are dropped when they are too old. Printed is what the year needed, beside
the plain arithmetic of docs/scale.md: where both differ, the arithmetic has left something out.
"""

import argparse
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

COSTS = Path(__file__).parent / "results" / "unit_costs.json"
HOURS = 365 * 24
HOURS_A_MONTH = 730
_TERA, _GIGA, _MEGA = 1e12, 1e9, 1e6


@dataclass(frozen=True)
class Plan:
    """What is assumed, beside the measured costs."""

    cameras: int = 10_000
    cameras_a_site: int = 20
    cores_a_box: int = 4
    days_kept: int = 90
    hours_between_failures: float = 8_760.0  # of a box
    hours_to_repair: float = 24.0
    hours_between_outages: float = 720.0  # of a link
    hours_of_outage: float = 6.0
    quiet_share: float = 0.5  # of the hours, in which nothing changes
    core_price: float = 0.02  # of an hour of a core
    storage_price: float = 0.02  # of a GB and month
    traffic_price: float = 0.05  # of a GB


@dataclass(frozen=True)
class Costs:
    """Of an hour of one camera."""

    core_seconds: float
    rows: float
    bytes_a_row: float
    video_bytes: float
    share_changed: float


@dataclass(frozen=True)
class Year:
    """What the year needed."""

    rows_at_most: float
    bytes_at_most: float
    bytes_sent: float
    busiest_hour_bytes: float  # of all links together
    core_hours: float
    camera_hours_lost: float  # while a box was down
    hours_behind_at_most: float  # of a box that was without its link: rows wait on its disk
    tables_at_most: int

    def lines(self) -> list[tuple[str, str]]:
        """For people."""
        return [
            ("rows held at most", f"{self.rows_at_most:.3g}"),
            ("storage at most", f"{self.bytes_at_most / _TERA:.2f} TB"),
            ("tables of a camera and month at most", f"{self.tables_at_most:,}"),
            ("sent in the year", f"{self.bytes_sent / _TERA:.2f} TB"),
            ("busiest hour, all links", f"{self.busiest_hour_bytes * 8 / 3600 / _MEGA:.1f} Mbit/s"),
            ("computing", f"{self.core_hours:,.0f} core-hours"),
            ("footage lost while a box was down", f"{self.camera_hours_lost:,.0f} camera-hours"),
            ("rows wait on a box at most", f"{self.hours_behind_at_most:.0f} hours"),
        ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(Plan):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    parser.add_argument("--every-frame", action="store_true", help="keep all rows, not only those of changes")
    parser.add_argument("--seed", type=int, default=0)
    arguments = vars(parser.parse_args())
    every_frame, seed = arguments.pop("every_frame"), arguments.pop("seed")
    plan, costs = Plan(**arguments), measured(every_frame=every_frame)
    print(costs)
    simulated, reckoned = simulate(plan, costs, seed=seed), reckon(plan, costs)
    width = max(len(name) for name, _ in reckoned.lines())
    print(f"{'':{width}}  {'simulated':>20}  {'reckoned':>20}")
    for (name, found), (_, expected) in zip(simulated.lines(), reckoned.lines(), strict=True):
        print(f"{name:{width}}  {found:>20}  {expected:>20}")
    for name, value in prices(plan, costs, simulated):
        print(f"{name:{width}}  {value:>20}")


def measured(*, every_frame: bool) -> Costs:
    """The mean of the clips that were measured."""
    kept = json.loads(COSTS.read_text())
    rows = kept["rows"]
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "clip"}
    return Costs(
        core_seconds=mean["indexing_core_seconds_an_hour"],
        rows=kept["fps"] * 3600,
        bytes_a_row=mean["bytes_a_frame"],
        video_bytes=mean["video_bytes_an_hour"],
        share_changed=1.0 if every_frame else mean["share_changed"],
    )


def reckon(plan: Plan, costs: Costs) -> Year:
    """Plain arithmetic: everything runs all the time."""
    active = 1 - plan.quiet_share
    rows_an_hour = plan.cameras * costs.rows * (costs.share_changed * active if costs.share_changed < 1 else 1)
    held = rows_an_hour * 24 * plan.days_kept
    return Year(
        rows_at_most=held,
        bytes_at_most=held * costs.bytes_a_row,
        bytes_sent=rows_an_hour * HOURS * costs.bytes_a_row,
        busiest_hour_bytes=rows_an_hour * costs.bytes_a_row,
        core_hours=plan.cameras * HOURS * costs.core_seconds / 3600,
        camera_hours_lost=0.0,
        hours_behind_at_most=0.0,
        tables_at_most=plan.cameras * -(-plan.days_kept * 24 // HOURS_A_MONTH),
    )


def simulate(plan: Plan, costs: Costs, *, seed: int) -> Year:
    """Hour by hour, for each site."""
    random = np.random.default_rng(seed)
    num_sites = -(-plan.cameras // plan.cameras_a_site)
    cameras = np.full(num_sites, plan.cameras_a_site)
    cameras[-1] = plan.cameras - plan.cameras_a_site * (num_sites - 1)
    up_again, link_again = np.zeros(num_sites), np.zeros(num_sites)
    waiting, behind = np.zeros(num_sites), np.zeros(num_sites)  # rows on the boxes, and hours since the oldest
    months: list[float] = []  # rows that arrived in each month
    held_at_most = sent = busiest = core_hours = lost = longest = 0.0
    months_kept = -(-plan.days_kept * 24 // HOURS_A_MONTH)
    tables = 0
    for hour in range(HOURS):
        if hour % HOURS_A_MONTH == 0:
            months.append(0.0)
            tables = max(tables, plan.cameras * min(len(months), months_kept + 1))
        up_again = broken_until(up_again, hour, plan.hours_between_failures, plan.hours_to_repair, random)
        link_again = broken_until(link_again, hour, plan.hours_between_outages, plan.hours_of_outage, random)
        is_up, is_linked = up_again <= hour, link_again <= hour
        is_quiet = hour % 24 < 24 * plan.quiet_share
        share = costs.share_changed if costs.share_changed == 1 else costs.share_changed * (not is_quiet)
        new = np.where(is_up, cameras * costs.rows * share, 0.0)
        lost += float(cameras[~is_up].sum())
        core_hours += float(cameras[is_up].sum()) * costs.core_seconds / 3600
        waiting += new
        arrived = np.where(is_linked & is_up, waiting, 0.0)
        waiting -= arrived
        behind = np.where(is_linked & is_up, 0, behind + 1)
        longest = max(longest, float(behind.max()))
        months[-1] += float(arrived.sum())
        sent += float(arrived.sum()) * costs.bytes_a_row
        busiest = max(busiest, float(arrived.sum()) * costs.bytes_a_row)
        held_at_most = max(held_at_most, sum(months[-months_kept - 1 :]))  # a month goes when all of it is too old
    return Year(held_at_most, held_at_most * costs.bytes_a_row, sent, busiest, core_hours, lost, longest, tables)


def broken_until(
    until: np.ndarray, hour: int, between: float, lasting: float, random: np.random.Generator
) -> np.ndarray:
    """The hour in which each works again; what works breaks once in so many hours."""
    breaks = (random.random(len(until)) < 1 / between) & (until <= hour)
    return np.where(breaks, hour + random.exponential(lasting, len(until)), until)


def prices(plan: Plan, costs: Costs, year: Year) -> list[tuple[str, str]]:
    """A camera and year, and what a box bears."""
    computing = year.core_hours * plan.core_price / plan.cameras
    storage = 12 * year.bytes_at_most / _GIGA * plan.storage_price / plan.cameras
    traffic = year.bytes_sent / _GIGA * plan.traffic_price / plan.cameras
    video = HOURS * costs.video_bytes / _GIGA * plan.traffic_price
    return [
        ("core-seconds an hour of video", f"{costs.core_seconds:.0f}"),
        ("cameras that a box bears", f"{plan.cores_a_box * 3600 / costs.core_seconds:.0f}"),
        ("a camera-year: computing", f"{computing:.2f}"),
        ("a camera-year: storage", f"{storage:.2f}"),
        ("a camera-year: traffic of rows", f"{traffic:.2f}"),
        ("(traffic, if video were sent instead)", f"{video:.2f}"),
    ]


if __name__ == "__main__":
    main()
