/** What a server refuses for as long as nobody changes the configuration. All else may be mended by waiting. */
const permanent: ReadonlyArray<readonly [code: number, text: RegExp]> = [
  // At login.
  [403, /Login was refused|user '.*' can only connect via localhost/],
  [530, /vhost .* not found/],
  [530, /access to vhost '.*' refused for user '.*'(?!.*limit)/],
  // On a channel. Not 405, nor a queue "in exclusive use": that may be by a connection of ours that the server does not
  // know to be lost. Nor 404 of a queue whose "home node is down".
  [404, /no (queue|exchange) '|no previously declared queue/],
  [403, /access to (queue|exchange|topic|vhost) '.*' .*refused for user/],
  [403, /contains reserved prefix|operation not permitted on the default exchange/],
  [406, /inequivalent arg '|invalid (arg|property) '|prefetch count is not set/]
]

/** Whether a reply of a server says that it will say so again, whenever it is asked. */
export const isPermanentReply = (code: number | string | undefined, text: string | undefined): boolean =>
  permanent.some(([known, pattern]) => known === code && pattern.test(text ?? ""))
