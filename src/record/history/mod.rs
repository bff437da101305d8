//! The audit log as it is read: what is asked for (`GET /history`, `aggd history`), and the page that answers.

mod filter;
mod page;

pub(crate) use filter::Cursor;
pub(crate) use filter::HistoryFilter;
pub(crate) use page::Fields;
pub(crate) use page::HistoryPage;
