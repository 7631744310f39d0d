//! The filters of the command line as the parameters of `GET /admin/v1/decisions`.

use super::Filters;
use crate::audit::moment::moment;
use crate::control::remote::encoded;

impl Filters {
    /// A query of them, with `&` before each. Times that are told from now on are told from `now_ms`.
    pub(in crate::audit) fn to_query(&self, now_ms: u64) -> anyhow::Result<String> {
        let time = |name: &str, text: &Option<String>| match text {
            Some(text) => moment(text, now_ms)
                .map(|at_ms| Some(baton_audit::utc(at_ms)))
                .map_err(|why| anyhow::anyhow!("`--{name}`: {why}")),
            None => Ok(None),
        };
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let status = self.status.as_deref().map(|status| match status {
            "none" => "not_expected".to_owned(),
            other => other.to_owned(),
        });
        let pairs = [
            ("start_time", time("since", &self.since)?),
            ("end_time", time("until", &self.until)?),
            ("kind", (!self.kinds.is_empty()).then(|| self.kinds.join(","))),
            ("reason_code", self.reason.clone()),
            ("policy", self.policy.clone()),
            ("model", self.model.clone()),
            ("requested", self.requested.clone()),
            ("served", self.served.clone()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("provider", self.provider.clone()),
            ("principal", self.key.clone()),
            ("run", self.run.clone()),
            ("session", self.session.clone()),
            ("tag", self.tag.clone()),
            ("status", status),
            ("fault", self.error.clone()),
            ("min_hop", number(self.min_hop.map(u64::from))),
            ("min_cost_usd", self.min_cost.clone()),
            ("max_cost_usd", self.max_cost.clone()),
            ("min_total_ms", number(self.min_ms)),
            ("max_total_ms", number(self.max_ms)),
        ];
        let named = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Ok(named.map(|(name, value)| format!("&{name}={}", encoded(&value))).collect())
    }
}
