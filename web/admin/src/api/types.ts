/** The names of the API's values that this app uses, in one place. */
import type { components } from "../../../kit/client/schema.d.ts";

type Schemas = components["schemas"];

export type Advice = Schemas["Advice"];
export type Code = Schemas["Code"];
export type Event = Schemas["Event"];
export type Ingest = Schemas["Ingest"];
export type Invitation = Schemas["Invitation"];
export type InvitationMade = Schemas["InvitationMade"];
export type Latency = Schemas["Latency"];
export type NewEvent = Schemas["NewEvent"];
export type Problem = Schemas["Problem"];
export type StreamKey = Schemas["StreamKey"];
export type StreamStatus = Schemas["StreamStatus"];
export type Token = Schemas["Token"];
export type TokenMade = Schemas["TokenMade"];
export type User = Schemas["User"];
export type Viewer = Schemas["Viewer"];
