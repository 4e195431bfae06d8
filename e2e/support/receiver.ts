/** Somebody's server that is told by a webhook, and believes only what the reference library of Standard Webhooks does. */

import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

export interface Told {
  id: string;
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
}

export class Receiver {
  /** What was told and believed, oldest first. */
  readonly told: Told[] = [];
  /** What was told and not believed, in the library's words. */
  readonly refused: string[] = [];
  /** How the next ones are answered, each once its answer is there; after them with 204. */
  readonly answers: (number | Promise<number>)[] = [];
  /** `whsec_…`; nothing is believed before it is known. */
  secret = "";

  private constructor(private readonly server: Server) {}

  static async open(): Promise<Receiver> {
    let receiver: Receiver | undefined;
    const server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8");
      request.on("data", (piece: string) => {
        body += piece;
      });
      request.on("end", async () => {
        response.statusCode = (await receiver?.hear(request.headers, body)) ?? 500;
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    receiver = new Receiver(server);
    return receiver;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/stagedoor`;
  }

  /** What a server needs to be allowed to reach it. */
  get settings(): Record<string, string> {
    return {
      STAGEDOOR_OUTBOUND_PORTS: `[${this.port}]`,
      STAGEDOOR_OUTBOUND_PRIVATE_NETWORKS: '["127.0.0.0/8"]',
    };
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private hear(headers: IncomingHttpHeaders, body: string): number | Promise<number> {
    try {
      const payload = new Webhook(this.secret).verify(body, headers as Record<string, string>) as Told;
      this.told.push({ ...payload, id: String(headers["webhook-id"]) });
    } catch (error) {
      this.refused.push(String(error));
      return 401;
    }
    return this.answers.shift() ?? 204;
  }
}
