//! Draws the curve of quality over cost, and measures the area below it.
//!
//! - Start with [`area`].
//! - Two policies can be mixed by a coin, so every point on a straight line between two points is
//!   reachable too: the curve is the upper hull. It is drawn over cost and measured over log cost.

/// What a policy costs and achieves, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) cost: f64,
    pub(super) quality: f64,
}

/// The mean height of the non-decreasing hull between two costs, over the logarithm of the cost.
///
/// The curve starts at the anchor, the cheapest model; what costs less than it counts as costing as
/// much. What costs more than `dearest` is not seen. Nothing when the two costs are the same.
pub(super) fn area(points: &[Point], anchor: Point, dearest: f64) -> Option<f64> {
    // Not `<=`, so that a cost that is no number is refused too.
    if !(anchor.cost > 0.0 && anchor.cost < dearest) {
        return None;
    }
    let hull = hull(points, anchor, dearest);
    let mut sum = 0.0;
    for (from, to) in hull.iter().zip(hull.iter().skip(1)) {
        let slope = (to.quality - from.quality) / (to.cost - from.cost);
        let base = from.quality - slope * from.cost;
        sum += base * (to.cost / from.cost).ln() + slope * (to.cost - from.cost);
    }
    if let Some(last) = hull.last() {
        sum += last.quality * (dearest / last.cost).ln();
    }
    Some(sum / (dearest / anchor.cost).ln())
}

/// The corners of the upper hull up to its highest point, by cost.
fn hull(points: &[Point], anchor: Point, dearest: f64) -> Vec<Point> {
    let mut sorted: Vec<Point> = points
        .iter()
        .filter(|point| point.cost <= dearest)
        .map(|point| Point { cost: point.cost.max(anchor.cost), quality: point.quality })
        .chain([anchor])
        .collect();
    sorted
        .sort_by(|left, right| left.cost.total_cmp(&right.cost).then(right.quality.total_cmp(&left.quality)));
    let mut corners: Vec<Point> = Vec::new();
    for point in sorted {
        if corners.last().is_some_and(|last| point.quality <= last.quality || point.cost <= last.cost) {
            continue;
        }
        while let [.., before, last] = corners.as_slice() {
            let turn = (last.quality - before.quality) * (point.cost - before.cost)
                - (point.quality - before.quality) * (last.cost - before.cost);
            if turn > 0.0 {
                break;
            }
            corners.pop();
        }
        corners.push(point);
    }
    corners
}

#[cfg(test)]
mod tests;
