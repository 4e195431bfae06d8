//! Who may have how many deliveries on their way. No clock, no socket: only counting.
//!
//! A receiver that does not answer keeps its places for the whole time limit. So receivers of which we do not know that they
//! answer have one place each, and together at most half of all: however many of them there are, those that answer go on.

use std::collections::HashMap;

use stagedoor_domain::id::WebhookId;

/// Deliveries on their way at a time, to all webhooks together: a connection and about a hundred kilobytes each.
pub(super) const IN_ALL: u32 = 256;
/// Of these, to webhooks whose last delivery did not arrive, or that had none yet.
pub(super) const UNPROVEN: u32 = 128;
/// Deliveries on their way to one webhook that answers.
pub(super) const AT_ONCE: u32 = 4;
/// To one that does not, or that is new.
const UNPROVEN_AT_ONCE: u32 = 1;

/// What is on its way, and who was served last.
#[derive(Debug, Default)]
pub(super) struct Places {
    of: HashMap<WebhookId, Place>,
    served_last: Option<WebhookId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    on_their_way: u32,
    /// The last delivery arrived.
    proven: bool,
}

impl Place {
    fn left(self, given: u32) -> u32 {
        let most = if self.proven { AT_ONCE } else { UNPROVEN_AT_ONCE };
        most.saturating_sub(self.on_their_way + given)
    }
}

impl Places {
    /// Whether nobody can be given any.
    pub(super) fn are_taken(&self) -> bool {
        self.of.values().map(|place| place.on_their_way).sum::<u32>() >= IN_ALL
    }

    /// Gives places to webhooks that have something due, whose ids are in order: one to each in turn, beginning behind the
    /// one that was served last, then a second one, and so on. Whoever takes one [enters](Self::enter).
    pub(super) fn give(&mut self, due: &[WebhookId]) -> Vec<(WebhookId, u32)> {
        let taken = |proven| -> u32 {
            let of = self.of.values().filter(|place| place.proven == proven);
            of.map(|place| place.on_their_way).sum()
        };
        let unproven = taken(false);
        let mut free = IN_ALL.saturating_sub(taken(true) + unproven);
        let mut free_unproven = UNPROVEN.saturating_sub(unproven);
        let begin = due.partition_point(|id| Some(*id) <= self.served_last);
        let mut given: Vec<(WebhookId, u32)> = Vec::new();
        let mut at: HashMap<WebhookId, usize> = HashMap::new();
        for _ in 0..AT_ONCE {
            for id in due[begin..].iter().chain(&due[..begin]) {
                let place = self.of.get(id).copied().unwrap_or_default();
                let slot = *at.entry(*id).or_insert_with(|| {
                    given.push((*id, 0));
                    given.len() - 1
                });
                let has = given[slot].1;
                if free == 0 || place.left(has) == 0 || (!place.proven && free_unproven == 0) {
                    continue;
                }
                free -= 1;
                if !place.proven {
                    free_unproven -= 1;
                }
                given[slot].1 += 1;
                if has == 0 {
                    self.served_last = Some(*id);
                }
            }
        }
        given.retain(|(_, places)| *places > 0);
        given
    }

    /// A delivery is on its way.
    pub(super) fn enter(&mut self, id: WebhookId) {
        self.of.entry(id).or_default().on_their_way += 1;
    }

    /// It is not any more.
    pub(super) fn leave(&mut self, id: WebhookId) {
        if let Some(place) = self.of.get_mut(&id) {
            place.on_their_way = place.on_their_way.saturating_sub(1);
            if place.on_their_way == 0 && !place.proven {
                self.of.remove(&id);
            }
        }
    }

    /// Whether the last delivery arrived.
    pub(super) fn noted(&mut self, id: WebhookId, proven: bool) {
        self.of.entry(id).or_default().proven = proven;
    }

    /// Forgets webhooks that are gone and have nothing on its way.
    pub(super) fn keep(&mut self, is_there: impl Fn(WebhookId) -> bool) {
        self.of.retain(|id, place| place.on_their_way > 0 || is_there(*id));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ids(count: u128) -> Vec<WebhookId> {
        (1..=count).map(|number| WebhookId::new(Uuid::from_u128(number))).collect()
    }

    /// Gives places, and everybody takes all of theirs.
    fn taken(places: &mut Places, due: &[WebhookId]) -> Vec<(WebhookId, u32)> {
        let given = places.give(due);
        for (id, count) in &given {
            (0..*count).for_each(|_| places.enter(*id));
        }
        given
    }

    #[test]
    fn one_that_answers_has_four_and_any_other_one() {
        let mut places = Places::default();
        let due = ids(3);
        assert_eq!(taken(&mut places, &due), [(due[0], 1), (due[1], 1), (due[2], 1)]);
        assert_eq!(places.give(&due), []);
        places.noted(due[1], true);
        assert_eq!(taken(&mut places, &due), [(due[1], 3)]);
        for _ in 0..4 {
            places.leave(due[1]);
        }
        places.noted(due[1], false);
        assert_eq!(taken(&mut places, &due), [(due[1], 1)]);
    }

    #[test]
    fn however_many_are_silent_those_that_answer_have_places() {
        let mut places = Places::default();
        let due = ids(1_000);
        let (answers, silent) = due.split_at(2);
        assert_eq!(taken(&mut places, silent).len() as u32, UNPROVEN);
        assert_eq!(places.give(silent), []);
        for id in answers {
            places.noted(*id, true);
        }
        assert_eq!(taken(&mut places, &due), [(answers[0], 4), (answers[1], 4)]);
        // And they cannot take them all either.
        due.iter().for_each(|id| places.noted(*id, true));
        while !taken(&mut places, &due).is_empty() {}
        assert!(places.are_taken());
        assert_eq!(places.of.values().map(|place| place.on_their_way).sum::<u32>(), IN_ALL);
    }

    #[test]
    fn everybody_has_their_turn_before_anybody_has_a_second() {
        let mut places = Places::default();
        let due = ids(300);
        due.iter().for_each(|id| places.noted(*id, true));
        let mut served = std::collections::BTreeMap::<WebhookId, u32>::new();
        for _ in 0..300 {
            for (id, count) in taken(&mut places, &due) {
                *served.entry(id).or_default() += count;
                (0..count).for_each(|_| places.leave(id));
            }
        }
        let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
        assert!(served.len() == 300 && most - least <= 1, "{least} to {most}");
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut places = Places::default();
        let due = ids(3);
        taken(&mut places, &due);
        due.iter().take(2).for_each(|id| places.noted(*id, true));
        places.leave(due[0]);
        places.leave(due[2]);
        assert_eq!(places.of.len(), 2, "nothing is worth remembering of the third");
        places.keep(|id| id == due[2]);
        assert!(!places.of.contains_key(&due[0]) && places.of.contains_key(&due[1]));
    }
}
