//! Where a session in a logical database is: the slot that its next statement goes to.

use std::sync::{Arc, Weak};

use crate::backend::{BackendError, ServerPool, SessionImage};
use crate::engine::error::EngineError;
use crate::engine::prepared::meaning;
use crate::engine::session::Session;
use crate::engine::sharded::database::{LogicalDatabase, ShardPool};
use crate::engine::sharded::renaming::Renaming;
use crate::engine::sharded::route::unroutable;
use crate::engine::snapshot::Snapshot;
use crate::engine::statement::Sending;
use crate::engine::values::asks_about_session;
use crate::sharding::{ShardId, SlotId};
use crate::sql::Kind;
use crate::wire::{HEADER_BYTES, StatusFlags, frame};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) database: Arc<LogicalDatabase>,
    pub(crate) shards: Arc<[ShardPool]>,
    /// The configuration that was seen to hold these. Weak, so that the address is nobody else's meanwhile.
    seen: Weak<Snapshot>,
    slot: SlotId,
    /// The session's image with a slot's database in the place of the logical one, for those slots that
    /// were used since the image changed last.
    images: Vec<(SlotId, Arc<SessionImage>)>,
    images_of: u128,
    /// The text that began a transaction, until its shard is known.
    pub(crate) begin: Option<String>,
    /// What goes to the server in the place of the client's bytes: the same without the logical name.
    pub(crate) instead: Option<Vec<u8>>,
}

/// Images kept of one session, and of one prepared statement.
pub(crate) const IMAGES_MAX: usize = 32;

impl Place {
    pub(crate) fn new(
        database: Arc<LogicalDatabase>,
        shards: Arc<[ShardPool]>,
        seen: Weak<Snapshot>,
    ) -> Self {
        Self {
            database,
            shards,
            seen,
            slot: SlotId(0),
            images: Vec::new(),
            images_of: 0,
            begin: None,
            instead: None,
        }
    }

    /// The pool of a shard.
    pub(crate) fn pool(&self, shard: ShardId) -> &Arc<ServerPool> {
        &self.shards[usize::from(shard.0)].pool
    }

    /// `image` as a connection to `slot` must look.
    pub(crate) fn image(&mut self, image: &SessionImage, slot: SlotId) -> Arc<SessionImage> {
        if self.images_of != image.key() || self.images.len() > IMAGES_MAX {
            self.images.clear();
            self.images_of = image.key();
        }
        if let Some((_, known)) = self.images.iter().find(|(known, _)| *known == slot) {
            return Arc::clone(known);
        }
        let physical = &self.database.renaming(slot).physical;
        let made = Arc::new(image.with_schema(Some(physical)));
        self.images.push((slot, Arc::clone(&made)));
        made
    }

    /// Whether the next statement goes as the client sent it, and nothing before it.
    pub(crate) const fn sends_as_it_is(&self) -> bool {
        self.begin.is_none() && self.instead.is_none()
    }

    /// The slot that is used now.
    pub(crate) const fn slot(&self) -> SlotId {
        self.slot
    }
}

impl Session {
    /// Takes the session into the logical database of that name, or out of any.
    pub(crate) fn enter(&mut self, schema: Option<&[u8]>) -> bool {
        let snapshot = self.engine.snapshot();
        let found = schema.and_then(|name| snapshot.database(name)).cloned();
        let place = found.and_then(|database| {
            let shards = self.user.shards(database.rules.name())?;
            Some(Box::new(Place::new(Arc::clone(&database), Arc::clone(shards), Arc::downgrade(&snapshot))))
        });
        self.place = place;
        self.place.is_some()
    }

    /// After a reload: the same slot of the same logical database, by the pools of now.
    pub(crate) fn refresh_place(&mut self) {
        let Some(place) = &mut self.place else { return };
        if let Some(shards) = self.user.shards(place.database.rules.name()) {
            place.shards = Arc::clone(shards);
        }
    }

    /// Before a statement: the rules of now, unless the session is bound to what it began under others.
    pub(crate) fn renew_place(&mut self) {
        let Some(place) = &mut self.place else { return };
        place.instead = None;
        let snapshot = self.engine.snapshot();
        if place.seen.as_ptr() == Arc::as_ptr(&snapshot) {
            return;
        }
        let name = place.database.rules.name();
        if snapshot.database(name.as_bytes()).is_some_and(|now| Arc::ptr_eq(now, &place.database)) {
            place.seen = Arc::downgrade(&snapshot);
            return;
        }
        let (begun, name) = (place.begin.is_some(), name.to_owned());
        if begun || self.is_bound() {
            return;
        }
        if let Some(user) = snapshot.user(&self.user.name) {
            self.user = Arc::clone(user);
        }
        self.enter(Some(name.as_bytes()));
    }

    /// The logical database that the session is in.
    pub(crate) fn logical_name(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.database.rules.name())
    }

    /// Whether a statement was prepared in another logical database, or in none: its text would mean other
    /// tables here.
    pub(crate) fn is_prepared_elsewhere(&self, id: u32) -> bool {
        let known = self.statements.as_ref().and_then(|statements| statements.known.get(&id));
        known.is_some_and(|statement| statement.database.as_deref() != self.logical_name())
    }

    /// A prepared statement means what it meant, in the database of the slot that the session is at.
    pub(crate) fn place_statement(&mut self, id: u32) {
        let Some(renaming) = self.renaming() else { return };
        let Some(statement) = self.statement(id) else { return };
        if statement.image.schema() != Some(&*renaming.physical) {
            statement.image = statement.image_in(&renaming.physical);
            statement.key.image = meaning(&statement.facts, &statement.image);
        }
    }

    /// Whether a statement of this kind may lead into a logical database.
    pub(crate) fn may_enter(&self, kind: Kind) -> bool {
        kind == Kind::Use && !self.user.shards.is_empty()
    }

    /// Goes to another schema, from or to a logical database. True: it is one, and nobody need be asked.
    pub(crate) async fn change_place(&mut self, schema: &[u8]) -> Result<bool, EngineError> {
        let logical = self.engine.snapshot().database(schema).is_some()
            && self.user.shards.contains_key(&*String::from_utf8_lossy(schema));
        let Some(place) = &self.place else {
            if logical {
                self.leave_connection().await?;
            }
            return Ok(logical && self.enter(Some(schema)));
        };
        if place.begin.is_some() {
            return Err(another_shard());
        }
        self.leave_connection().await?;
        if logical {
            return Ok(self.enter(Some(schema)));
        }
        self.place = None;
        self.state.become_image(Arc::new(self.state.image.with_schema(None)));
        Ok(false)
    }

    /// After a failed change: the session is where it was.
    pub(crate) fn stay(&mut self, image: Arc<SessionImage>) {
        if self.state.image.key() != image.key() {
            self.enter(image.schema());
            self.state.become_image(image);
        }
    }

    /// Gives the connection back, which is not the one that the next statement needs.
    async fn leave_connection(&mut self) -> Result<(), EngineError> {
        if self.is_bound() && !self.holds_for_diagnostics() {
            return Err(another_shard());
        }
        self.let_go().await
    }

    /// The pool that the next statement's connection comes from.
    pub(crate) fn pool(&self) -> &Arc<ServerPool> {
        match &self.place {
            None => &self.user.pool,
            Some(place) => place.pool(place.database.shard(place.slot)),
        }
    }

    /// What a server connection has to look like for the next statement.
    pub(crate) fn wanted_image(&mut self) -> Arc<SessionImage> {
        match &mut self.place {
            None => Arc::clone(&self.state.image),
            Some(place) => {
                let slot = place.slot;
                place.image(&self.state.image, slot)
            }
        }
    }

    /// What the next statement's answer is to be called instead.
    pub(crate) fn renaming(&self) -> Option<Arc<Renaming>> {
        self.place.as_ref().map(|place| Arc::clone(place.database.renaming(place.slot)))
    }

    /// A server's error, about the logical database.
    pub(crate) fn renamed(&self, error: BackendError) -> BackendError {
        match (error, self.renaming()) {
            (BackendError::Server(mut packet), Some(renaming)) => {
                if let Some(message) = renaming.message(&packet.message) {
                    packet.message = message;
                }
                BackendError::Server(packet)
            }
            (error, _) => error,
        }
    }

    /// The next statement is for this slot. A session that is bound to a connection cannot go to another
    /// shard.
    pub(crate) async fn go_to(&mut self, slot: SlotId) -> Result<(), EngineError> {
        let Some(place) = &self.place else { return Ok(()) };
        let shard = place.database.shard(slot);
        let elsewhere =
            self.lease.as_ref().is_some_and(|lease| !Arc::ptr_eq(lease.pool(), place.pool(shard)));
        if elsewhere {
            if !self.holds_for_diagnostics() {
                return Err(another_shard());
            }
            self.let_go().await?;
        }
        if let Some(place) = &mut self.place {
            place.slot = slot;
        }
        Ok(())
    }

    /// Goes to this slot, if no connection has to be left for that.
    pub(crate) fn is_free_for(&mut self, slot: SlotId) -> bool {
        let Some(place) = &mut self.place else { return false };
        let pool = place.pool(place.database.shard(slot));
        if self.lease.as_ref().is_some_and(|lease| !Arc::ptr_eq(lease.pool(), pool)) {
            return false;
        }
        place.slot = slot;
        true
    }

    /// Tells the leased connection of the transaction that the client has begun.
    pub(crate) async fn begin_where_leased(&mut self) -> Result<(), EngineError> {
        let Some(begin) = self.place.as_ref().and_then(|place| place.begin.clone()) else { return Ok(()) };
        if let Some(lease) = self.lease.as_mut()
            && !lease.status.has(StatusFlags::IN_TRANS)
        {
            lease.ask(&begin).await?;
        }
        Ok(())
    }
}

impl Session {
    /// The packet that goes in the place of the client's, if another one has to.
    pub(crate) fn text_instead(&self, sending: &Sending<'_>) -> Result<Option<Vec<u8>>, EngineError> {
        match self.framed_instead() {
            None => Ok(self.substituted_text(sending)?.or_else(|| self.limited_packet(sending))),
            Some(_) if asks_about_session(&sending.facts.statement) => {
                Err(unroutable("a question about the session beside the name of the logical database"))
            }
            instead => Ok(instead),
        }
    }

    fn framed_instead(&self) -> Option<Vec<u8>> {
        let text = self.place.as_ref()?.instead.as_ref()?;
        let payload = self.lease.as_ref()?.query_payload(text);
        let mut bytes = Vec::with_capacity(payload.len() + HEADER_BYTES);
        frame(&mut bytes, 0, &payload);
        Some(bytes)
    }

    /// A server knows of the transaction now.
    pub(crate) fn has_begun(&mut self) {
        if let Some(place) = &mut self.place {
            place.begin = None;
        }
    }
}

/// A transaction, or what pins a session, lies on one shard.
pub(crate) fn another_shard() -> EngineError {
    EngineError::refused(
        1235,
        "42000",
        "DZ1601: this session is bound to one shard by a transaction or by what it left there, and the \
         statement needs another shard; end the transaction first",
    )
}
