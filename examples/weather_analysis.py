"""Runs inside the sandbox: reads the workbook, prints what it says, draws a picture of it.

Arguments: the workbook, and where the picture goes.
"""

import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

WET_MM = 0.1  # a wet day; below is dew
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
INK, SOFT, SUN = "#22303c", "#7b8794", "#f0b429"
RAIN, WARM, COOL = "#2f6f9f", "#d1603d", "#8fb8d4"


def longest_run(flags: pd.Series) -> tuple[pd.Timestamp, pd.Timestamp, int]:
    """First day, last day and length of the longest run of True."""
    run = (flags != flags.shift()).cumsum()[flags]
    label = run.value_counts().idxmax()
    days = run.index[run == label]
    return days[0], days[-1], len(days)


def by_month_and_hour(hourly: pd.DataFrame) -> pd.DataFrame:
    celsius = (hourly["temp"] - 32) * 5 / 9
    return celsius.groupby([hourly.index.month, hourly.index.hour]).mean().unstack()


def draw(daily: pd.DataFrame, monthly: pd.DataFrame, gap: pd.DataFrame, path: str) -> None:
    plt.rcParams.update(
        {
            "font.size": 10,
            "text.color": INK,
            "axes.labelcolor": SOFT,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "axes.edgecolor": "#cbd2d9",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "axes.titlepad": 10,
        }
    )
    figure, axes = plt.subplots(2, 2, figsize=(13, 8.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15, wspace=0.04, hspace=0.05)
    figure.suptitle(
        "Seattle, 2012 to 2015: wet winters, dry summers, and rain that likes company",
        x=0.012, ha="left", fontsize=16, fontweight="bold",
    )  # fmt: skip
    positions = np.arange(12)

    axis = axes[0, 0]
    axis.set_title("Rain by month: how much falls, and on how many days")
    axis.bar(positions, monthly["rain_mm"], color=COOL, width=0.75)
    axis.set_ylabel("mm, mean of the four years")
    axis.set_xticks(positions, MONTHS)
    # The number on each bar spares the reader a second scale.
    for position, (rain_mm, wet_days) in enumerate(
        zip(monthly["rain_mm"], monthly["wet_days"], strict=True)
    ):
        axis.annotate(
            f"{wet_days:.0f} d", (position, rain_mm), (0, 3), textcoords="offset points",
            ha="center", fontsize=9, color=RAIN, fontweight="bold",
        )  # fmt: skip
    axis.tick_params(axis="x", length=0)

    axis = axes[0, 1]
    axis.set_title("Daily high and low: four years laid over each other")
    day = daily.index.day_of_year
    for column, colour, label in (("temp_max", WARM, "high"), ("temp_min", RAIN, "low")):
        axis.scatter(day, daily[column], s=4, color=colour, alpha=0.18, linewidths=0)
        mean = daily[column].groupby(day).mean()
        # Wrapped around, so that December smooths into January.
        wrapped = pd.concat([mean[-15:], mean, mean[:15]])
        smooth = wrapped.rolling(21, center=True).mean().iloc[15:-15].to_numpy()
        axis.plot(mean.index, smooth, color=colour, linewidth=2)
        axis.annotate(
            label, (mean.index[-1], smooth[-1]), (6, 0), textcoords="offset points",
            va="center", color=colour, fontweight="bold",
        )  # fmt: skip
    axis.set_ylabel("°C")
    starts = [pd.Timestamp(2013, month, 1).day_of_year for month in range(1, 13)]
    axis.set_xticks(starts, MONTHS, ha="left")
    axis.set_xlim(1, 366)
    axis.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axis.set_axisbelow(True)

    axis = axes[1, 0]
    axis.set_title("Hour by hour: how much warmer Seattle is than San Francisco")
    limit = float(np.abs(gap.to_numpy()).max())
    image = axis.imshow(gap, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set_yticks(positions, MONTHS)
    axis.set_xticks(range(0, 24, 3), [f"{hour:02}:00" for hour in range(0, 24, 3)])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axis, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("°C")

    axis = axes[1, 1]
    axis.set_title("Chance of rain, after a dry day and after a wet one")
    axis.vlines(positions, monthly["after_dry"], monthly["after_wet"], color="#cbd2d9", linewidth=3)
    for column, colour, label in (
        ("after_wet", RAIN, "after a wet day"),
        ("after_dry", SUN, "after a dry day"),
    ):
        axis.scatter(positions, monthly[column], s=70, color=colour, label=label, zorder=3)
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axis.set_xticks(positions, MONTHS)
    axis.tick_params(axis="x", length=0)
    axis.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.legend(ncols=2, loc="upper left", frameon=False, handletextpad=0.2)

    figure.savefig(path, dpi=130)


def main() -> None:
    workbook, picture = sys.argv[1:]
    sheets = pd.read_excel(workbook, sheet_name=None, parse_dates=["date"], index_col="date")
    daily = sheets["Seattle daily"]
    seattle = by_month_and_hour(sheets["Seattle hourly"])
    san_francisco = by_month_and_hour(sheets["San Francisco hourly"])
    for title, sheet in sheets.items():
        print(f"  {title:22} {len(sheet):6,} rows, {sheet.index[0]:%d %b %Y} to "
              f"{sheet.index[-1]:%d %b %Y}")  # fmt: skip

    wet = daily["precipitation"] >= WET_MM
    years = daily.index.year.nunique()
    month = daily.index.month
    yesterday = wet.shift(fill_value=False)
    monthly = pd.DataFrame(
        {
            "rain_mm": daily["precipitation"].groupby(month).sum() / years,
            "wet_days": wet.groupby(month).sum() / years,
            "high_c": daily["temp_max"].groupby(month).mean(),
            "low_c": daily["temp_min"].groupby(month).mean(),
            "after_dry": wet[~yesterday].groupby(month[~yesterday]).mean(),
            "after_wet": wet[yesterday].groupby(month[yesterday]).mean(),
        }
    )
    table = monthly.iloc[:, :4].round(1).set_axis(MONTHS)
    print("\nAn average year, by month\n")
    print("  " + table.to_string().replace("\n", "\n  "))

    wettest = daily["precipitation"].idxmax()
    hottest = daily["temp_max"].idxmax()
    first, last, length = longest_run(~wet)
    gap = seattle - san_francisco
    print(
        f"\n  wet days                {wet.mean():.0%} of all, "
        f"{monthly['rain_mm'].sum():,.0f} mm a year"
    )
    print(f"  rain after a wet day    {wet[yesterday].mean():.0%}")
    print(f"  rain after a dry day    {wet[~yesterday].mean():.0%}")
    print(f"  longest dry spell       {length} days, {first:%d %b} to {last:%d %b %Y}")
    print(f"  wettest day             {wettest:%d %b %Y}, {daily.loc[wettest, 'precipitation']} mm")
    print(f"  hottest day             {hottest:%d %b %Y}, {daily.loc[hottest, 'temp_max']} °C")
    print(
        f"  warmer than San Francisco in {(gap > 0).to_numpy().mean():.0%} of the hours, "
        f"by up to {gap.to_numpy().max():.1f} °C"
    )
    # The sheet has a column "weather" too. It is not used, and this is why.
    called_rain = (daily["weather"] == "rain").groupby(daily.index.year).mean()
    wet_share = wet.groupby(daily.index.year).mean()
    print(
        f'  the column "weather"    calls {called_rain[2012]:.0%} of 2012 rain and '
        f"{called_rain[2014]:.0%} of 2014, when {wet_share[2012]:.0%} and {wet_share[2014]:.0%} "
        "of the days were wet"
    )

    draw(daily, monthly, gap, picture)


main()
