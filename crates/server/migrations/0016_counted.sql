-- How many invitees stand where, asked whenever the list of an event is looked at: counted in this order, not sorted first.
CREATE INDEX invitations_by_state ON invitations (event_id, state);
