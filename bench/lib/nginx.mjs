// nginx serving files as well as it can, on a loopback port of its own.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Child, output, sleep } from "./process.mjs";
import { createServer } from "node:net";

async function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// `files`: name → bytes. Resolves to `{ pid, url(name), stop() }`; the process is the only worker.
export async function serve(folder, files) {
  const root = join(folder, "nginx");
  mkdirSync(join(root, "html"), { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(root, "html", name), bytes);
  const port = await freePort();
  // One process without a master, sendfile, files kept open, no log: the fastest it can serve a static file.
  writeFileSync(
    join(root, "nginx.conf"),
    `daemon off; master_process off; worker_processes 1; pid ${root}/pid; error_log ${root}/error.log;
worker_rlimit_nofile 20000;
events { worker_connections 16000; use epoll; multi_accept on; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  open_file_cache max=100; open_file_cache_valid 600s; open_file_cache_min_uses 1; etag off;
  client_body_temp_path ${root}/b; proxy_temp_path ${root}/p; fastcgi_temp_path ${root}/f; uwsgi_temp_path ${root}/u; scgi_temp_path ${root}/s;
  server {
    listen 127.0.0.1:${port} backlog=4096; root ${root}/html;
    location ~ \\.m3u8$ { default_type application/vnd.apple.mpegurl; add_header Content-Encoding gzip; add_header Vary Accept-Encoding; add_header Cache-Control max-age=2; }
    location ~ \\.m4s$ { default_type video/mp4; add_header Cache-Control "max-age=3600, immutable"; }
  }
}
`,
  );
  await output("/usr/sbin/nginx", ["-t", "-q", "-c", join(root, "nginx.conf")]);
  const child = new Child("/usr/sbin/nginx", ["-c", join(root, "nginx.conf")]);
  await sleep(500);
  if (!child.alive) throw new Error(`nginx ended: ${child.text}`);
  return { pid: child.pid, url: (name) => `http://127.0.0.1:${port}/${name}`, stop: () => child.end("SIGQUIT") };
}
