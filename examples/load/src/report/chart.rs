//! A figure with lines, as SVG that takes its colours from the style sheet.

use std::fmt::Write;

use super::axis::Axis;
use super::escaped;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;

/// A figure with lines.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// Stretches of the x axis that are marked.
    pub(super) bands: Vec<(f64, f64)>,
    /// The target of a service level: its place on the x axis if it has one, its value, its text.
    pub(super) target: Option<(f64, f64, String)>,
}

/// A line of a figure.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) class: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Chart {
    /// The figure with its caption.
    pub(super) fn svg(&self) -> String {
        let title = escaped(&self.title);
        let drawing = self.drawing();
        format!(
            "<figure>\n<figcaption>{title}</figcaption>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
             {drawing}</svg>\n</figure>\n"
        )
    }

    /// The figure as a file of its own, with the names at the ends of the lines.
    pub(super) fn document(&self, style: &str) -> String {
        let (title, mut drawing) = (escaped(&self.title), self.drawing());
        for line in &self.lines {
            if let Some((x, y)) = line.points.last() {
                let (x, y, name) = (self.x(*x), self.y(*y) - 6.0, escaped(&line.name));
                let _ =
                    writeln!(drawing, "<text class=\"y\" x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>");
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n{drawing}</svg>\n"
        )
    }

    fn drawing(&self) -> String {
        let mut svg = String::new();
        self.draw_bands(&mut svg);
        self.draw_axes(&mut svg);
        self.draw_target(&mut svg);
        for line in &self.lines {
            self.draw_line(&mut svg, line);
        }
        svg
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    // Writing to a string does not fail.

    fn draw_bands(&self, svg: &mut String) {
        for (from, until) in &self.bands {
            let (left, right) = (self.x(*from), self.x(*until));
            let (width, height) = (right - left, HEIGHT - TOP - BOTTOM);
            let _ = writeln!(
                svg,
                "<rect class=\"burst\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>\
                 <text class=\"burst\" x=\"{:.1}\" y=\"{}\">burst</text>",
                left + 4.0,
                TOP - 7.0
            );
        }
    }

    fn draw_axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in &self.y.marks {
            let (y, text) = (self.y(*value), escaped(text));
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (value, text) in &self.x.marks {
            let (x, text) = (self.x(*value), escaped(text));
            // The last text ends where the figure ends.
            let (place, anchor) = if x > right - 24.0 { (right, "end") } else { (x, "middle") };
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>\
                 <text text-anchor=\"{anchor}\" x=\"{place:.1}\" y=\"{}\">{text}</text>",
                bottom + 19.0
            );
        }
    }

    fn draw_target(&self, svg: &mut String) {
        let Some((at, value, text)) = &self.target else { return };
        let (x, y) = (self.x(*at), self.y(*value));
        let (from, until) = (x - 22.0, x + 22.0);
        let below = y < TOP + 18.0;
        let label = if below { y + 17.0 } else { y - 6.0 };
        let _ = writeln!(
            svg,
            "<path class=\"target\" d=\"M{from:.1} {y:.1}H{until:.1}\"/>\
             <text class=\"target\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{label:.1}\">{}</text>",
            escaped(text)
        );
    }

    fn draw_line(&self, svg: &mut String, line: &Line) {
        let mut path = String::new();
        for (number, (x, y)) in line.points.iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(*x), self.y(*y));
        }
        let (class, name) = (&line.class, escaped(&line.name));
        let _ =
            writeln!(svg, "<path class=\"line {class}\" d=\"{path}\"><title>{name}</title></path>");
    }
}
