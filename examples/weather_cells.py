# The cells that `make demo` runs inside the sandbox, one after the other in one context.
# They know of nothing outside it but the workbook that was uploaded.
# ruff: noqa: E402 (a cell imports what it is the first to need)

# %% Read every sheet
import pandas as pd

workbook = pd.ExcelFile("weather.xlsx")
sheets = {
    name: pd.read_excel(workbook, sheet_name=name, parse_dates=["date"], index_col="date")
    for name in workbook.sheet_names
}
for name, sheet in sheets.items():
    first, last = sheet.index[[0, -1]]
    print(f"{name:22} {len(sheet):6,} rows, {first:%d %b %Y} to {last:%d %b %Y}")

# %% Summarise them
summary = {}
for name, sheet in sheets.items():
    numeric = sheet.select_dtypes("number")
    summary[name] = {
        "rows": len(sheet),
        "columns": sheet.shape[1],
        "numeric": numeric.shape[1],
        "missing": int(sheet.isna().sum().sum()),
        "lowest": numeric.min().min(),
        "highest": numeric.max().max(),
    }
pd.DataFrame.from_dict(summary, orient="index").rename_axis("sheet").reset_index()

# %% An average year in Seattle, by month
WET_MM = 0.1  # a wet day; below is dew
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

daily = sheets["Seattle daily"]
wet = daily["precipitation"] >= WET_MM
yesterday = wet.shift(fill_value=False)
years, month = daily.index.year.nunique(), daily.index.month
monthly = pd.DataFrame(
    {
        "rain, mm": daily["precipitation"].groupby(month).sum() / years,
        "wet days": wet.groupby(month).sum() / years,
        "high, °C": daily["temp_max"].groupby(month).mean(),
        "low, °C": daily["temp_min"].groupby(month).mean(),
        "after dry, %": 100 * wet[~yesterday].groupby(month[~yesterday]).mean(),
        "after wet, %": 100 * wet[yesterday].groupby(month[yesterday]).mean(),
    }
)
monthly.round(1).set_axis(MONTHS).rename_axis("month").reset_index()

# %% What stands out


def by_month_and_hour(hourly):
    celsius = (hourly["temp"] - 32) * 5 / 9
    return celsius.groupby([hourly.index.month, hourly.index.hour]).mean().unstack()


def longest_run(flags):
    run = (flags != flags.shift()).cumsum()[flags]
    days = run.index[run == run.value_counts().idxmax()]
    return days[0], days[-1], len(days)


seattle = by_month_and_hour(sheets["Seattle hourly"])
gap = seattle - by_month_and_hour(sheets["San Francisco hourly"])
first, last, length = longest_run(~wet)
wettest, hottest = daily["precipitation"].idxmax(), daily["temp_max"].idxmax()
# The column "weather" is not used, and this is why.
called_rain = (daily["weather"] == "rain").groupby(daily.index.year).mean()
share = wet.groupby(daily.index.year).mean()
print(
    f"""\
wet days              {wet.mean():.0%} of all, {monthly["rain, mm"].sum():,.0f} mm a year
longest dry spell     {length} days, {first:%d %b} to {last:%d %b %Y}
wettest day           {wettest:%d %b %Y}, {daily.loc[wettest, "precipitation"]} mm
hottest day           {hottest:%d %b %Y}, {daily.loc[hottest, "temp_max"]} °C
beside San Francisco  warmer in {(gap > 0).to_numpy().mean():.0%} of the hours of the year, \
by up to {gap.to_numpy().max():.1f} °C
the column "weather"  calls {called_rain[2012]:.0%} of 2012 rain and {called_rain[2014]:.0%} of \
2014, when {share[2012]:.0%} and {share[2014]:.0%} of the days were wet
"""
)
f"Rain follows rain: {wet[yesterday].mean():.0%} of the days after a wet one are wet, \
{wet[~yesterday].mean():.0%} of those after a dry one."

# %% Draw the seasons
import matplotlib.pyplot as plt
import numpy as np

INK, SOFT, LINE, SUN = "#22303c", "#7b8794", "#cbd2d9", "#f0b429"
RAIN, WARM, COOL = "#2f6f9f", "#d1603d", "#8fb8d4"
STYLE = {
    "figure.dpi": 130,
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "grid.color": "#e4e7eb",
}
plt.rcParams.update(STYLE)
TITLE = {"x": 0.012, "ha": "left", "fontsize": 16, "fontweight": "bold"}
positions = np.arange(12)

figure, axes = plt.subplots(2, 2, figsize=(13, 8.6), layout="constrained")
figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15, wspace=0.04, hspace=0.05)
figure.suptitle(
    "Seattle, 2012 to 2015: wet winters, dry summers, and rain that likes company", **TITLE
)

axis = axes[0, 0]
axis.set_title("Rain by month: how much falls, and on how many days")
axis.bar(positions, monthly["rain, mm"], color=COOL, width=0.75)
axis.set_ylabel("mm, mean of the four years")
axis.set_ylim(top=175)
# The number on each bar spares the reader a second scale.
for position, row in zip(positions, monthly.itertuples(index=False), strict=True):
    axis.annotate(
        f"{row[1]:.0f} d", (position, row[0]), (0, 3), textcoords="offset points",
        ha="center", fontsize=9, color=RAIN, fontweight="bold",
    )  # fmt: skip

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
starts = [pd.Timestamp(2013, number, 1).day_of_year for number in range(1, 13)]
axis.set_xticks(starts, MONTHS, ha="left")
axis.set_xlim(1, 366)
axis.grid(axis="y")

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
after_dry, after_wet = monthly["after dry, %"], monthly["after wet, %"]
axis.vlines(positions, after_dry, after_wet, color=LINE, linewidth=3)
axis.scatter(positions, after_wet, s=70, color=RAIN, label="after a wet day", zorder=3)
axis.scatter(positions, after_dry, s=70, color=SUN, label="after a dry day", zorder=3)
axis.set_ylim(0, 100)
axis.set_yticks([0, 25, 50, 75, 100], ["0", "25%", "50%", "75%", "100%"])
axis.grid(axis="y")
axis.legend(ncols=2, loc="upper left", frameon=False, handletextpad=0.2)

for axis in (axes[0, 0], axes[1, 1]):
    axis.set_xticks(positions, MONTHS)
    axis.tick_params(axis="x", length=0)

# %% Draw the distributions, with seaborn
import seaborn as sns

plt.rcParams.update(STYLE)
hours = pd.concat(
    [
        pd.DataFrame(
            {
                "city": city,
                "month": sheets[f"{city} hourly"].index.month,
                "celsius": (sheets[f"{city} hourly"]["temp"].to_numpy() - 32) * 5 / 9,
            }
        )
        for city in ("Seattle", "San Francisco")
    ],
    ignore_index=True,
)
rain = pd.DataFrame({"month": month, "mm": daily["precipitation"].to_numpy()})[wet.to_numpy()]

figure, (left, right) = plt.subplots(
    1, 2, figsize=(13, 5.2), layout="constrained", width_ratios=(3, 2)
)
figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15, wspace=0.04)
figure.suptitle("Not the mean alone: how far the months spread", **TITLE)

left.set_title("Every hour of the year: Seattle has the seasons")
sns.violinplot(
    hours, x="month", y="celsius", hue="city", split=True, gap=0.08, inner="quart", cut=0,
    density_norm="width", linewidth=0.8, palette=[RAIN, SUN], ax=left,
)  # fmt: skip
left.set(xlabel="", ylabel="°C")
left.legend(title=None, frameon=False, loc="upper left")

right.set_title("Rain on a wet day: mostly little, now and then a lot")
sns.stripplot(
    rain, x="month", y="mm", color=COOL, size=3, alpha=0.6, jitter=0.28, legend=False, ax=right
)
sns.boxplot(
    rain, x="month", y="mm", color=RAIN, fill=False, showfliers=False, width=0.5, linewidth=1.1,
    ax=right,
)  # fmt: skip
right.set_yscale("log")
right.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
right.minorticks_off()
right.set(xlabel="", ylabel="mm, logarithmic")
for axis in (left, right):
    axis.set_xticks(positions, MONTHS if axis is left else [name[0] for name in MONTHS])
    axis.tick_params(axis="x", length=0)
    axis.grid(axis="y")
