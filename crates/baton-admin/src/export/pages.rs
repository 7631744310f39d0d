//! Reads a list page by page, no faster than the pages go out, and writes each in a form.

use std::sync::Arc;

use baton_audit::{
    CSV_HEADER, DecisionBody, DecisionPage, DecisionView, Decisions, DecisionsError, ListQuery, PageStart,
    csv_line,
};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::Format;

/// What is in memory at once.
const PAGE: u32 = 200;

/// Where pages come from.
pub(super) trait Source: Send {
    /// A page of the list.
    fn page(&self, query: &ListQuery) -> impl Future<Output = Result<DecisionPage, DecisionsError>> + Send;
}

impl Source for Arc<Decisions> {
    async fn page(&self, query: &ListQuery) -> Result<DecisionPage, DecisionsError> {
        self.list(query).await
    }
}

/// A list that is read page by page.
#[derive(Debug)]
pub(super) struct Pages<S> {
    source: S,
    query: ListQuery,
}

impl<S: Source> Pages<S> {
    pub(super) fn new(source: S, query: ListQuery) -> Self {
        Self { source, query: ListQuery { limit: PAGE, ..query } }
    }

    /// Reads the first page.
    pub(super) async fn begin(self) -> Result<Begun<S>, DecisionsError> {
        let first = self.source.page(&self.query).await?;
        Ok(Begun { pages: self, first })
    }

    /// Reads the page behind this one.
    async fn behind(&mut self, page: &DecisionPage) -> Result<Option<DecisionPage>, DecisionsError> {
        let last = page.decisions.last().filter(|_| page.has_more);
        let Some(last) = last else { return Ok(None) };
        self.query.start = PageStart::After(last.decision.id);
        self.source.page(&self.query).await.map(Some)
    }
}

/// A list whose first page is there.
#[derive(Debug)]
pub(super) struct Begun<S> {
    pages: Pages<S>,
    first: DecisionPage,
}

/// What is to be done when the reader asks for more.
enum Step {
    /// This page goes out, the first one.
    First(DecisionPage),
    /// The page behind this one is read and goes out.
    Behind(DecisionPage),
    End,
}

/// The file, a page at a time. `held` is dropped with it.
pub(super) fn stream<S, H>(
    begun: Begun<S>,
    format: Format,
    held: H,
) -> impl Stream<Item = Result<Bytes, DecisionsError>> + Send
where
    S: Source + 'static,
    H: Send + 'static,
{
    let Begun { pages, first } = begun;
    try_unfold((pages, Step::First(first), held), move |(mut pages, step, held)| async move {
        let (page, is_first) = match step {
            Step::First(page) => (Some(page), true),
            Step::Behind(page) => {
                let next = pages.behind(&page).await.inspect_err(|error| {
                    tracing::error!(error = %error, "an export was cut off");
                })?;
                (next, false)
            }
            Step::End => (None, false),
        };
        let Some(page) = page else { return Ok(None) };
        let bytes = written(format, &page, is_first);
        // Nothing of the page is needed any more but where it ended.
        let next = if page.has_more { Step::Behind(ended(page)) } else { Step::End };
        Ok(Some((bytes, (pages, next, held))))
    })
}

fn ended(mut page: DecisionPage) -> DecisionPage {
    let last = page.decisions.pop();
    DecisionPage { decisions: last.into_iter().collect(), has_more: page.has_more }
}

fn written(format: Format, page: &DecisionPage, is_first: bool) -> Bytes {
    let mut text = String::new();
    match format {
        Format::Ndjson => {
            for view in &page.decisions {
                text += &json(view);
                text.push('\n');
            }
        }
        Format::Json => {
            text += if is_first { r#"{"object":"list","data":["# } else { "" };
            for (at, view) in page.decisions.iter().enumerate() {
                text += if at > 0 || !is_first { "," } else { "" };
                text += &json(view);
            }
            text += if page.has_more { "" } else { r#"],"has_more":false}"# };
        }
        Format::Csv => {
            text += if is_first { CSV_HEADER } else { "" };
            text.extend(page.decisions.iter().map(csv_line));
        }
    }
    text.into()
}

fn json(view: &DecisionView) -> String {
    serde_json::to_string(&DecisionBody::from(view.clone())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
