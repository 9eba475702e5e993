//! Questions about sessions from another thread. The tracker answers between two rounds, a page at a
//! time, so that packets never wait long for it; it allocates nothing but what it tells.

use cpu::{Consumer, Producer};
use session::{Cursor, Filter, Record};

/// A page of sessions: the question, and in the end the answer.
#[derive(Debug, Default)]
pub struct Inquiry {
    /// Of whoever asks: an answer that comes too late is told by it.
    pub ticket: u64,
    /// Which sessions are asked for.
    pub filter: Filter,
    /// Where to begin.
    pub cursor: Cursor,
    /// What was found.
    pub found: Vec<Record>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// The side that asks.
#[derive(Debug)]
pub struct Desk {
    asks: Producer<Box<Inquiry>>,
    answers: Consumer<Box<Inquiry>>,
}

/// The side that answers.
#[derive(Debug)]
pub(crate) struct Window {
    asks: Consumer<Box<Inquiry>>,
    answers: Producer<Box<Inquiry>>,
}

/// Questions that wait at a time; more are given back.
const WAITING_MAX: usize = 16;

pub(crate) fn desk() -> (Desk, Window) {
    let (asks_in, asks) = cpu::ring(WAITING_MAX);
    let (answers_in, answers) = cpu::ring(WAITING_MAX);
    (Desk { asks: asks_in, answers }, Window { asks, answers: answers_in })
}

impl Desk {
    /// A desk that nobody answers at.
    #[must_use]
    pub fn closed() -> Self {
        desk().0
    }

    /// Asks.
    ///
    /// # Errors
    /// The inquiry itself, where too many wait.
    pub fn ask(&mut self, inquiry: Box<Inquiry>) -> Result<(), Box<Inquiry>> {
        self.asks.push(inquiry)
    }

    /// An answer, where there is one: in the order of the questions.
    pub fn answer(&mut self) -> Option<Box<Inquiry>> {
        self.answers.pop()
    }
}

impl Window {
    /// Answers one question, if there is one and its answer finds room.
    #[inline]
    pub(crate) fn serve(&mut self, find: impl FnOnce(&mut Inquiry)) {
        if self.asks.available(1) == 0 || self.answers.room(1) == 0 {
            return;
        }
        let Some(mut inquiry) = self.asks.pop() else { return };
        find(&mut inquiry);
        // There was room, and only we fill it.
        let _ = self.answers.push(inquiry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let (mut desk, mut window) = desk();
        for limit in 0..WAITING_MAX {
            let filter = Filter { limit: Some(limit), ..Filter::default() };
            desk.ask(Box::new(Inquiry { filter, ..Inquiry::default() })).unwrap();
        }
        assert!(desk.ask(Box::default()).is_err());
        assert!(desk.answer().is_none());
        for _ in 0..WAITING_MAX {
            window.serve(|inquiry| inquiry.found.push(Record::default()));
        }
        for limit in 0..WAITING_MAX {
            let answer = desk.answer().unwrap();
            assert_eq!((answer.filter.limit, answer.found.len()), (Some(limit), 1));
        }
    }
}
