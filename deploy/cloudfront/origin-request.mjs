// CloudFront, origin request (Lambda@Edge): runs only for what is not in the cache, and puts the token of whoever asked
// first back into the address. The server looks at it once more.

export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  const token = request.headers["x-stagedoor-token"]?.[0]?.value;
  delete request.headers["x-stagedoor-token"];
  if (token && request.uri.startsWith("/live/shared/")) {
    request.uri = `/live/${token}/${request.uri.slice("/live/shared/".length)}`;
  }
  return request;
};
