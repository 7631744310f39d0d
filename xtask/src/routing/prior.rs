//! Fills the table of models and task families where a model was not measured.
//!
//! A model that was never asked for a family is read off the straight line through those that were,
//! drawn over each family it was asked for. Leaving the hole would compare models by
//! different tasks: one that was only given easy ones would look strong.
//!
//! - Start with [`fill`].
//! - Plain sums and divisions only, so that every machine gets the same bits.

/// Nobody is expected to be always right or always wrong.
const BOUNDS: (f64, f64) = (0.01, 0.99);

/// Fills the holes of a table: one line for each model, one column for each family.
pub(super) fn fill(table: &[Vec<Option<f64>>]) -> Vec<Vec<f64>> {
    // The second time also from what was filled the first time: a model may share no family
    // directly with those that have the missing one.
    let once = extend(table);
    let twice = extend(&once);
    twice.iter().map(|line| settle(line)).collect()
}

fn settle(line: &[Option<f64>]) -> Vec<f64> {
    let known: Vec<f64> = line.iter().copied().flatten().collect();
    let mean = if known.is_empty() { 0.5 } else { known.iter().sum::<f64>() / known.len() as f64 };
    line.iter().map(|cell| cell.unwrap_or(mean)).collect()
}

fn extend(table: &[Vec<Option<f64>>]) -> Vec<Vec<Option<f64>>> {
    let fill_line = |line: &Vec<Option<f64>>| {
        let cell = |(family, cell): (usize, &Option<f64>)| cell.or_else(|| infer(table, line, family));
        line.iter().enumerate().map(cell).collect()
    };
    table.iter().map(fill_line).collect()
}

/// The mean of what each known family of the line says about the missing one.
fn infer(table: &[Vec<Option<f64>>], line: &[Option<f64>], missing: usize) -> Option<f64> {
    let said: Vec<f64> = line
        .iter()
        .enumerate()
        .filter_map(|(family, cell)| {
            let pair = |other: &Vec<Option<f64>>| Some(((*other.get(family)?)?, (*other.get(missing)?)?));
            let pairs: Vec<(f64, f64)> = table.iter().filter_map(pair).collect();
            predict(&pairs, (*cell)?)
        })
        .collect();
    let mean = said.iter().sum::<f64>() / said.len() as f64;
    (!said.is_empty()).then(|| mean.clamp(BOUNDS.0, BOUNDS.1))
}

/// The line of least squares through the pairs, at `x`. A line that falls says nothing.
fn predict(pairs: &[(f64, f64)], x: f64) -> Option<f64> {
    if pairs.len() < 2 {
        return None;
    }
    let count = pairs.len() as f64;
    let mean_x = pairs.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = pairs.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread: f64 = pairs.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
    let along: f64 = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (spread > 1e-6 && along >= 0.0).then(|| mean_y + along / spread * (x - mean_x))
}

#[cfg(test)]
mod tests;
