//! Prints the figures as tables.

use super::measure::{Figures, Line, Measured, Split};
use super::problem::Problem;

/// Prints all that was measured.
pub(super) fn print(problem: &Problem, inside: &Measured, outside: Option<&Measured>) {
    println!(
        "{} prompts, {} models: {}",
        problem.cases.len(),
        problem.models.len(),
        problem.models.join(", ")
    );
    for note in &problem.notes {
        println!("- {note}");
    }
    println!();
    println!(
        "Five random splits, 60 % to learn from. AIQ-log is the area below the hull of quality over log"
    );
    println!("cost, anchored at the cheapest model; in brackets where 95 of 100 draws of the prompts lie.");
    println!(
        "Cost and quality are relative to the best single model; the price weight is chosen on validation."
    );
    print_measured(inside, problem.models.len() == 2);
    println!();
    match outside {
        Some(outside) => {
            println!("Each family of tasks left out in turn, the mean of all:");
            print_measured(outside, problem.models.len() == 2);
            print_families(outside);
        }
        None => println!("One family of tasks only: nothing can be left out."),
    }
}

fn print_measured(measured: &Measured, two: bool) {
    for split in &measured.splits {
        println!(
            "  {}: {} measured, best single {} {}, oracle {}, shrinkage {}",
            split.name,
            split.cases,
            split.best,
            short(split.best_quality),
            short(split.oracle),
            shrinks(split)
        );
    }
    println!();
    println!(
        "| {:29} | {:18} | {:20} | {:28} | {:28} | {:10} |{}",
        "method",
        "AIQ-log",
        "over single models",
        "cost / quality at 98 %",
        "cost / quality at 100 %",
        "oracle gap",
        if two { " recovered |" } else { "" }
    );
    println!(
        "|{}|{}|{}|{}|{}|{}|{}",
        "-".repeat(31),
        "-".repeat(20),
        "-".repeat(22),
        "-".repeat(30),
        "-".repeat(30),
        "-".repeat(12),
        if two { "-----------|" } else { "" }
    );
    for line in &measured.lines {
        println!("{}", row(line, two));
    }
}

/// For each method that learns: shared and own.
fn shrinks(split: &Split) -> String {
    let shown = split.shrinks.iter().map(|shrink| format!("{}/{}", shrink.shared, shrink.own));
    shown.collect::<Vec<_>>().join(" ")
}

fn row(line: &Line, two: bool) -> String {
    let Line { name, figures, low, high } = line;
    let within = |figure: fn(&Figures) -> f64| {
        format!("{} [{} {}]", short(figure(figures)), short(figure(low)), short(figure(high)))
    };
    let at = |cost: fn(&Figures) -> f64, quality: fn(&Figures) -> f64| {
        format!(
            "{} [{} {}] / {}",
            short(cost(figures)),
            short(cost(low)),
            short(cost(high)),
            short(quality(figures))
        )
    };
    let cells = [
        format!("{name:29}"),
        format!("{:18}", within(|figures| figures.area)),
        format!("{:20}", within(|figures| figures.gain)),
        format!("{:28}", at(|figures| figures.targets[0].0, |figures| figures.targets[0].1)),
        format!("{:28}", at(|figures| figures.targets[1].0, |figures| figures.targets[1].1)),
        format!("{:10}", short(figures.gap)),
    ];
    let recovered = if two { format!(" {:9} |", short(figures.recovered)) } else { String::new() };
    format!("| {} |{recovered}", cells.join(" | "))
}

fn print_families(measured: &Measured) {
    println!();
    println!("AIQ-log of each left-out family:");
    for (line, at) in measured.lines.iter().zip(0..) {
        let areas = measured.splits.iter().zip(&measured.areas).map(|(split, areas)| {
            let area = areas.get::<usize>(at).copied().unwrap_or(f64::NAN);
            format!("{} {}", split.name, short(area))
        });
        println!("  {:29} {}", line.name, areas.collect::<Vec<_>>().join(", "));
    }
}

/// Three digits without the leading zero.
fn short(figure: f64) -> String {
    if figure.is_nan() {
        return "-".to_owned();
    }
    let text = format!("{figure:.3}");
    match text.strip_prefix("0.") {
        Some(rest) => format!(".{rest}"),
        None => text.strip_prefix("-0.").map_or(text.clone(), |rest| format!("-.{rest}")),
    }
}
