//! Where statements of one digest go, learnt once: what is left for each execution is from key to slot.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::facts::Facts;
use crate::engine::session::Session;
use crate::engine::sharded::database::LogicalDatabase;
use crate::engine::sharded::parameters::Parameters;
use crate::engine::statement::WHOLE_MAX;
use crate::sharding::{Recipe, Request, SlotId, Source, recipe};
use crate::sql::tree::Span;
use crate::sql::{Effects, Kind, LexMode, Spelling, Statement};
use crate::wire::{Capabilities, HEADER_BYTES, Header};

/// Spellings kept of one digest: spellings, other blanks and comments.
const SPELLINGS_MAX: usize = 4;

/// Spellings learnt of one digest before nothing more is: lists of ever other lengths are no use to remember.
const LEARNT_MAX: u32 = 32;

/// What is known of the statements of one digest. Only one worker's sessions use it, never across an await, so
/// the lock is never contended; it is there to make the facts shareable.
#[derive(Debug, Default)]
pub(crate) struct Recipes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    spellings: Vec<One>,
    /// Spellings learnt so far under the rules of this logical database.
    learnt: u32,
    of: u64,
}

/// What is known of one spelling under the rules of one snapshot.
#[derive(Debug)]
struct One {
    database: u64,
    utf8: bool,
    spelling: Spelling,
    /// None: it is planned each time.
    recipe: Option<Recipe>,
    /// The deciding literal: its number among the literals, and the bytes of its sign.
    literal: Option<(usize, usize)>,
}

/// What the recipes know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its slot; None: any.
    Slot(Option<SlotId>),
    /// It has to be planned, and nothing is to be learnt from it.
    Plan,
    /// It has to be planned, and learnt.
    Unknown,
}

impl Recipes {
    /// Where a statement goes.
    pub(crate) fn find(&self, database: &LogicalDatabase, request: &Request<'_>) -> Answer {
        let known = self.0.lock();
        for one in
            known.spellings.iter().filter(|one| one.database == database.id && one.utf8 == request.utf8)
        {
            let wanted = one.literal.map_or(usize::MAX, |(number, _)| number);
            let Some(found) = one.spelling.find(request.text, request.mode, wanted) else { continue };
            return match one.recipe {
                None => Answer::Plan,
                Some(Recipe::Any) => Answer::Slot(None),
                Some(Recipe::Fixed(slot)) => Answer::Slot(Some(slot)),
                Some(Recipe::Key(key)) => {
                    let sign = one.literal.map_or(0, |(_, sign)| sign);
                    let span = Span::new((found.start - sign) as u32, found.end as u32);
                    let slot = key.slot(&database.rules, request, Some(span));
                    slot.map_or(Answer::Plan, |slot| Answer::Slot(Some(slot)))
                }
            };
        }
        if known.of == database.id && known.learnt >= LEARNT_MAX { Answer::Plan } else { Answer::Unknown }
    }

    /// Learns how statements of this one's spelling are planned.
    pub(crate) fn learn(&self, database: &LogicalDatabase, request: &Request<'_>) {
        let Some(spelling) = Spelling::of(request.text, request.mode) else { return };
        let mut recipe = recipe(&database.rules, request);
        let mut literal = None;
        if let Some(Recipe::Key(key)) = recipe
            && let Source::Number(span) | Source::Text(span) = key.source()
        {
            literal = spelling.literal_in(span.range());
            recipe = recipe.filter(|_| literal.is_some());
        }
        let one = One { database: database.id, utf8: request.utf8, spelling, recipe, literal };
        let mut known = self.0.lock();
        if known.of != database.id {
            // What was learnt under other rules is of no use.
            *known = Known { of: database.id, ..Known::default() };
        }
        if known.spellings.len() < SPELLINGS_MAX {
            known.spellings.push(one);
        } else {
            let at = known.learnt as usize % SPELLINGS_MAX;
            known.spellings[at] = one;
        }
        known.learnt += 1;
    }
}

impl Session {
    /// Sends a COM_QUERY the short way: its slot is known from its key alone, and the session may go there
    /// without leaving a connection. False: it is to be routed.
    pub(crate) fn goes_by_recipe(&mut self, facts: &Facts, header: Header) -> bool {
        if !may_have_recipe(facts, header) {
            return false;
        }
        let slot = self.slot_by_recipe(facts, self.query_text(header), None);
        slot.is_some_and(|slot| self.is_free_for(slot))
    }

    /// The same for a COM_STMT_EXECUTE of the statement with the client's `id`.
    pub(crate) fn executes_by_recipe(&mut self, id: u32, facts: &Facts, header: Header) -> bool {
        if !may_have_recipe(facts, header) {
            return false;
        }
        let slot = self.slot_of_execution(id, facts, header);
        let free = slot.is_some_and(|slot| self.is_free_for(slot));
        if free {
            self.place_statement(id);
        }
        free
    }

    fn slot_of_execution(&self, id: u32, facts: &Facts, header: Header) -> Option<SlotId> {
        let statement = self.statements.as_ref()?.known.get(&id).filter(|statement| !statement.long_data)?;
        let payload = self.client.stream.input.filled().get(HEADER_BYTES..HEADER_BYTES + header.length)?;
        let attributes = self.client.capabilities.has(Capabilities::QUERY_ATTRIBUTES);
        let types = statement.types.as_deref();
        let parameters = Parameters::read(payload, statement.parameters, types, attributes).ok()?;
        self.slot_by_recipe(facts, &statement.key.text, Some(&parameters))
    }

    /// The slot that the recipe of a statement says, learnt if it is not known. None: it has to be planned.
    pub(crate) fn slot_by_recipe(
        &self,
        facts: &Facts,
        text: &[u8],
        parameters: Option<&Parameters<'_>>,
    ) -> Option<SlotId> {
        let place = self.place.as_ref()?;
        let database: &Arc<LogicalDatabase> = &place.database;
        let literals = parameters.map(Parameters::literals).unwrap_or_default();
        let request = self.request(database, text, &literals);
        let mut answer = facts.recipes.find(database, &request);
        if answer == Answer::Unknown {
            facts.recipes.learn(database, &request);
            answer = facts.recipes.find(database, &request);
        }
        match answer {
            Answer::Slot(slot) => Some(slot.unwrap_or_else(|| place.slot())),
            Answer::Plan | Answer::Unknown => None,
        }
    }

    /// How the planner is asked about a text of this session.
    pub(crate) fn request<'a>(
        &self,
        database: &'a LogicalDatabase,
        text: &'a [u8],
        parameters: &'a [crate::sharding::KeyLiteral<'a>],
    ) -> Request<'a> {
        let mode: LexMode = self.state.mode;
        let charset = self.state.image.variable("character_set_client").unwrap_or_default();
        let utf8 = charset.starts_with(b"utf8");
        Request { text, mode, utf8, schema: Some(database.rules.name()), parameters }
    }
}

/// Whether a statement is of a kind that goes to its slot as it is, all of it known.
fn may_have_recipe(facts: &Facts, header: Header) -> bool {
    let Statement { kind, effects, .. } = &facts.statement;
    let placed = matches!(kind, Kind::Select | Kind::Insert | Kind::Update | Kind::Delete | Kind::Replace);
    placed && !effects.contains(Effects::MULTIPLE) && header.length <= WHOLE_MAX
}
