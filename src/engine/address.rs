//! An execution addressed to the server's statement: its id there, and the types of its parameters where this
//! connection has not been told them.

use std::sync::Arc;

use crate::backend::BackendConn;
use crate::engine::error::EngineError;
use crate::engine::parameters::{ParameterLayout, bulk_types, with_bulk_types};
use crate::engine::prepared::{Prepared, unknown_statement};
use crate::engine::session::Session;
use crate::engine::typing::bind_types;
use crate::wire::{Capabilities, HEADER_BYTES, Header, code, frame};

impl Session {
    /// Takes note of the types that the execution at the front of the client's input binds.
    pub(crate) fn note_types(&mut self, id: u32, header: Header) -> Result<(), EngineError> {
        let attributes = self.client.capabilities.has(Capabilities::QUERY_ATTRIBUTES);
        let statements = self.statements.as_mut();
        let Some(statement) = statements.and_then(|statements| statements.known.get_mut(&id)) else {
            return Err(unknown_statement(id, self.flavor(), "mysqld_stmt_execute"));
        };
        let input = self.client.stream.input.filled();
        let payload = &input[HEADER_BYTES..(HEADER_BYTES + header.length).min(input.len())];
        if is_bulk(payload) {
            let range = bulk_types(payload, statement.parameters).map_err(|_| malformed_execution())?;
            if let Some(types) = range.and_then(|range| payload.get(range)) {
                statement.types = Some(types.into());
            }
            return Ok(());
        }
        let (Some(flags), Some(parameters)) = (payload.get(5), payload.get(10..)) else {
            return Err(malformed_execution());
        };
        let layout = ParameterLayout::find(parameters, statement.parameters, attributes, flags & 0x08 != 0);
        if let Some(layout) = layout.map_err(|_| malformed_execution())? {
            let owner = u64::from(self.guard.id()) << 32 | u64::from(id);
            bind_types(statement, parameters, &layout, attributes, owner);
        }
        Ok(())
    }

    /// Writes the server's statement id into the command at the front of the client's input, and puts
    /// in parameter types that this connection has not been told. `None`: the command can go as it
    /// stands in the input; otherwise these packets go instead.
    pub(crate) fn address_execution(
        &mut self,
        conn: &mut BackendConn,
        id: u32,
        server_id: u32,
        header: Header,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let attributes = self.client.capabilities.has(Capabilities::QUERY_ATTRIBUTES);
        let statements = self.statements.as_mut();
        let Some(statement) = statements.and_then(|statements| statements.known.get_mut(&id)) else {
            return Err(unknown_statement(id, self.flavor(), "mysqld_stmt_execute"));
        };
        let input = self.client.stream.input.filled_mut();
        let end = (HEADER_BYTES + header.length).min(input.len());
        let payload = &mut input[HEADER_BYTES..end];
        payload[1..5].copy_from_slice(&server_id.to_le_bytes());
        let complete = end == HEADER_BYTES + header.length;
        if is_bulk(payload) {
            return address_bulk(statement, conn, payload).and_then(|instead| framed(instead, complete));
        }
        let counted = payload[5] & 0x08 != 0;
        let layout = ParameterLayout::find(&payload[10..], statement.parameters, attributes, counted)
            .map_err(|_| malformed_execution())?;
        let Some(on_server) = conn.prepared.find(statement.server_key()) else { return Ok(None) };
        let Some(layout) = layout else { return Ok(None) };
        if layout.types.is_some() {
            on_server.types.clone_from(&statement.types);
            return Ok(None);
        }
        let Some(types) = statement.types.as_ref() else { return Ok(None) };
        if on_server.types.as_ref() == Some(types) {
            return Ok(None);
        }
        on_server.types = Some(Arc::clone(types));
        let flag = 10 + layout.flag;
        let mut whole = Vec::with_capacity(payload.len() + types.len());
        whole.extend_from_slice(&payload[..flag]);
        whole.push(1);
        whole.extend_from_slice(types);
        whole.extend_from_slice(&payload[flag + 1..]);
        framed(Some(whole), complete)
    }

    /// The same among other sessions' executions of the statement, which may be sent or not: the types go
    /// along in any case, and what the server remembers of them afterwards is not known.
    pub(crate) fn address_shared(
        &mut self,
        conn: &mut BackendConn,
        id: u32,
        server_id: u32,
        header: Header,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        self.forget_types(id, conn);
        let instead = self.address_execution(conn, id, server_id, header);
        self.forget_types(id, conn);
        instead
    }

    fn forget_types(&self, id: u32, conn: &mut BackendConn) {
        let statement = self.statements.as_ref().and_then(|statements| statements.known.get(&id));
        if let Some(on_server) = statement.and_then(|statement| conn.prepared.find(statement.server_key())) {
            on_server.types = None;
        }
    }
}

fn malformed_execution() -> EngineError {
    EngineError::refused(1835, "HY000", "Malformed communication packet.")
}

fn is_bulk(payload: &[u8]) -> bool {
    payload.first() == Some(&code::STMT_BULK_EXECUTE)
}

/// What goes in place of a bulk execution, if its types are missing on this connection.
fn address_bulk(
    statement: &Prepared,
    conn: &mut BackendConn,
    payload: &[u8],
) -> Result<Option<Vec<u8>>, EngineError> {
    let sent = bulk_types(payload, statement.parameters).map_err(|_| malformed_execution())?;
    let Some(on_server) = conn.prepared.find(statement.server_key()) else { return Ok(None) };
    if sent.is_some() {
        on_server.types.clone_from(&statement.types);
        return Ok(None);
    }
    let Some(types) = statement.types.as_ref().filter(|types| on_server.types.as_ref() != Some(types)) else {
        return Ok(None);
    };
    on_server.types = Some(Arc::clone(types));
    Ok(Some(with_bulk_types(payload, types)))
}

/// An execution with its types as packets. What is streamed cannot get them.
fn framed(payload: Option<Vec<u8>>, complete: bool) -> Result<Option<Vec<u8>>, EngineError> {
    let Some(payload) = payload else { return Ok(None) };
    if !complete {
        let message = "parameter types are missing from an execution of more than 1 MiB";
        return Err(EngineError::refused(1835, "HY000", message));
    }
    let mut bytes = Vec::with_capacity(payload.len() + HEADER_BYTES);
    frame(&mut bytes, 0, &payload);
    Ok(Some(bytes))
}
