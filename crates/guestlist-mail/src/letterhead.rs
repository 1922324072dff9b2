//! What all mails of one mailer have in common.

use core::fmt;
use std::sync::Arc;

use guestlist::{Clock, DisplayName, EmailAddress, SystemClock};

use crate::english::English;
use crate::template::Template;

/// What all mails of one mailer have in common: sender, product and wording.
#[derive(Clone)]
pub struct Letterhead {
    pub(crate) from: EmailAddress,
    pub(crate) from_name: Option<DisplayName>,
    pub(crate) product: Option<DisplayName>,
    pub(crate) template: Arc<dyn Template>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Letterhead {
    /// Mails from this address, in English.
    #[must_use]
    pub fn new(from: EmailAddress) -> Self {
        Self {
            from,
            from_name: None,
            product: None,
            template: Arc::new(English),
            clock: Arc::new(SystemClock),
        }
    }

    /// What people are shown as the sender.
    #[must_use]
    pub fn from_name(mut self, name: DisplayName) -> Self {
        self.from_name = Some(name);
        self
    }

    /// What the texts call the application.
    #[must_use]
    pub fn product(mut self, name: DisplayName) -> Self {
        self.product = Some(name);
        self
    }

    /// Who words the mails.
    #[must_use]
    pub fn template(mut self, template: impl Template + 'static) -> Self {
        self.template = Arc::new(template);
        self
    }

    /// Where the date of a mail comes from; the operating system, if nothing is said.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for Letterhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letterhead")
            .field("from", &self.from)
            .field("from_name", &self.from_name)
            .field("product", &self.product)
            .finish_non_exhaustive()
    }
}
