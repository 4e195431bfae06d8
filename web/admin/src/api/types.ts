/** The names of the API's values that this app uses, in one place. */
import type { components } from "../../../kit/client/schema.d.ts";

type Schemas = components["schemas"];

export type Advice = Schemas["Advice"];
export type Code = Schemas["Code"];
export type Counters = Schemas["Counters"];
export type Delivery = Schemas["Delivery"];
export type Event = Schemas["Event"];
export type Import = Schemas["Import"];
/** What a column of a list may be. */
export type ImportField = keyof Mapping;
export type Incident = Schemas["Incident"];
export type Ingest = Schemas["Ingest"];
export type Invitation = Schemas["Invitation"];
export type InvitationMade = Schemas["InvitationMade"];
export type Latency = Schemas["Latency"];
export type Mapping = Schemas["Mapping"];
export type Message = Schemas["Message"];
export type MessageChannel = Schemas["MessageChannel"];
export type MessageFailure = Schemas["MessageFailure"];
export type MessageKind = Schemas["MessageKind"];
export type TextPreview = Schemas["TextPreview"];
export type MessageState = Schemas["MessageState"];
export type MessageTemplate = Schemas["MessageTemplate"];
export type Messaging = Schemas["Messaging"];
export type LogEntry = Schemas["LogEntry"];
export type NewEvent = Schemas["NewEvent"];
export type NewSend = Schemas["NewSend"];
export type Policy = Schemas["Policy"];
export type Problem = Schemas["Problem"];
export type SelectionBody = Schemas["SelectionBody"];
export type Send = Schemas["Send"];
export type StartImport = Schemas["StartImport"];
export type StreamKey = Schemas["StreamKey"];
export type StreamStatus = Schemas["StreamStatus"];
export type Token = Schemas["Token"];
export type TokenMade = Schemas["TokenMade"];
export type Topic = Schemas["Changed"];
export type User = Schemas["User"];
export type Webhook = Schemas["Webhook"];
export type WebhookSecret = Schemas["WebhookSecret"];
export type Viewer = Schemas["Viewer"];
export type ViewerChange = Schemas["ViewerChange"];
