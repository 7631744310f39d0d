//! Is it well?

use std::time::Duration;

use super::rejection;
use crate::{Candidate, DownReason, ReasonCode, Rejection, Stage};

pub(super) fn rejects(candidate: &Candidate) -> Option<Rejection> {
    let down = candidate.health.down?;
    let code = match down.why {
        DownReason::BreakerOpen => ReasonCode::BreakerOpen,
        DownReason::ProbeTaken => ReasonCode::ProbeTaken,
        DownReason::Cooling => ReasonCode::CoolingDown,
        DownReason::NoHeadroom => ReasonCode::NoHeadroom,
        DownReason::NoCredential => ReasonCode::NoCredential,
        DownReason::Drained => ReasonCode::Drained,
        DownReason::Disabled => ReasonCode::Disabled,
    };
    let left = (down.for_ms > 0).then(|| format!("{:?} left", Duration::from_millis(down.for_ms)));
    Some(Rejection { observed: left, ..rejection(Stage::Health, code) })
}
