//! Who does which kind of work: the table that a client's own loop asks before it hands over.

/// A kind of work, and who does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specialist {
    /// What it is called.
    pub name: String,
    /// The models, in order; or a route, a policy, an agent.
    pub models: Vec<String>,
    /// How it should be asked.
    pub prompt_style: String,
    /// What it should look at.
    pub focus: String,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specialists {
    /// The table.
    pub rows: Vec<Specialist>,
    /// The row for what none is for.
    pub otherwise: String,
    /// What a model is chosen from where only the task is told.
    pub select: Vec<String>,
}

impl Specialists {
    /// Who does a kind of work.
    #[must_use]
    pub fn for_work(&self, kind: &str) -> Option<&Specialist> {
        let named = |name: &str| self.rows.iter().find(|row| row.name == name);
        named(kind).or_else(|| named(&self.otherwise))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_is_for_goes_to_the_one_for_the_rest() {
        let row = |name: &str| Specialist { name: name.to_owned(), ..Specialist::default() };
        let table = Specialists {
            rows: vec![row("code_review"), row("rest")],
            otherwise: "rest".to_owned(),
            ..Specialists::default()
        };
        let name = |kind| table.for_work(kind).map(|row| row.name.as_str());
        assert_eq!((name("code_review"), name("dancing")), (Some("code_review"), Some("rest")));
    }
}
