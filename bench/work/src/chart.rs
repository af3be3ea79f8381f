//! A drawing of ratios, as SVG: bars from 1 to the left and to the right, each factor of two as wide.

use std::fmt::Write;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 70.0;
const BAR: f64 = 16.0;
const TOP: f64 = 84.0;
/// Readable on the card, whatever is around it.
const COLOURS: [&str; 7] = [
    "#c2410c", "#2563eb", "#60a5fa", "#15803d", "#7c3aed", "#64748b", "#a16207",
];

/// Ratios to the same thing.
pub struct Chart {
    pub title: String,
    /// What the numbers are.
    pub axis: String,
    pub groups: Vec<Group>,
}

/// Bars under one heading.
pub struct Group {
    pub heading: String,
    pub bars: Vec<(String, f64)>,
}

impl Chart {
    /// The drawing: a file of its own.
    pub fn svg(&self) -> String {
        let scale = Scale::of(self.ratios());
        let rows: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let height = TOP + BAR * (rows as f64 + 1.8 * self.groups.len() as f64) + 20.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1f2937\">\n\
             <title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#fff\" stroke=\"#94a3b8\"/>\n\
             <text x=\"16\" y=\"28\" font-size=\"17\" font-weight=\"600\">{title}</text>\n\
             <text x=\"16\" y=\"48\" fill=\"#475569\">{axis}</text>\n",
            title = escaped(&self.title),
            axis = escaped(&self.axis),
        );
        scale.lines(&mut svg, height - 12.0);
        let names = self.names();
        let mut y = TOP;
        for group in &self.groups {
            y += BAR * 1.5;
            text(
                &mut svg,
                16.0,
                y - 4.0,
                "start",
                &group.heading,
                " font-weight=\"600\"",
            );
            for (name, ratio) in &group.bars {
                let colour = names
                    .iter()
                    .position(|known| known == name)
                    .unwrap_or_default();
                bar(
                    &mut svg,
                    &scale,
                    y,
                    name,
                    *ratio,
                    COLOURS[colour % COLOURS.len()],
                );
                y += BAR;
            }
            y += BAR * 0.3;
        }
        svg + "</svg>\n"
    }

    fn ratios(&self) -> impl Iterator<Item = f64> {
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        bars.map(|(_, ratio)| *ratio)
            .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
    }

    fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for (name, _) in self.groups.iter().flat_map(|group| &group.bars) {
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
        names
    }
}

/// Where a ratio is.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    /// From and to a power of two.
    fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let (least, most) = ratios
            .map(f64::log2)
            .fold((-1.0, 1.0), |(least, most), power| {
                (f64::min(least, power.floor()), f64::max(most, power.ceil()))
            });
        Self { least, most }
    }

    fn x(&self, ratio: f64) -> f64 {
        let part = (ratio.log2() - self.least) / (self.most - self.least);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn lines(&self, svg: &mut String, bottom: f64) {
        let mut power = self.least;
        while power <= self.most {
            let ratio = power.exp2();
            let (x, colour) = (
                self.x(ratio),
                if ratio == 1.0 { "#1f2937" } else { "#e2e8f0" },
            );
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{bottom:.0}\" stroke=\"{colour}\"/>",
                TOP - 8.0
            );
            let label = match ratio < 1.0 {
                true => format!("1/{:.0}", ratio.recip()),
                false => format!("{ratio:.0}"),
            };
            text(svg, x, TOP - 14.0, "middle", &label, "");
            power += 1.0;
        }
    }
}

fn bar(svg: &mut String, scale: &Scale, y: f64, name: &str, ratio: f64, colour: &str) {
    let middle = y + BAR * 0.75;
    text(svg, LEFT - 12.0, middle, "end", name, "");
    if !ratio.is_finite() {
        return text(svg, scale.x(1.0) + 6.0, middle, "start", "not measured", "");
    }
    // Less than nothing can not be drawn; its number can be written.
    let (one, end) = (scale.x(1.0), scale.x(ratio.max(f64::MIN_POSITIVE)));
    let (from, to) = (one.min(end), one.max(end));
    let _ = writeln!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
        y + 2.0,
        (to - from).max(1.0),
        BAR - 3.0
    );
    text(svg, to + 5.0, middle, "start", &shown(ratio), "");
}

/// Three digits that count, or as many as there are before the point.
fn shown(ratio: f64) -> String {
    match ratio.abs() {
        big if big >= 100.0 => format!("{ratio:.0}"),
        middle if middle >= 10.0 => format!("{ratio:.1}"),
        small if small < 0.1 => format!("{ratio:.3}"),
        _ => format!("{ratio:.2}"),
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str, more: &str) {
    let text = escaped(text);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
