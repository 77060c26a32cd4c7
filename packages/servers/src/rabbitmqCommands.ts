/**
 * What `rabbitmqctl` has a server do, as an expression of Erlang that does it. The server evaluates that at once, whereas
 * `rabbitmqctl` takes seconds, most of them to start.
 */
export const expressionOf = (command: string, args: ReadonlyArray<string>): string => {
  const expression = commands[command]
  if (expression === undefined) throw new Error(`${command} is not among the commands of RabbitMQ that tests use`)
  return `${expression(...args)}.`
}

const commands: Readonly<Record<string, (...args: ReadonlyArray<string>) => string>> = {
  add_user: (user, password) =>
    `rabbit_auth_backend_internal:add_user(${binary(user)}, ${binary(password)}, ${operator})`,
  add_vhost: (name) => `rabbit_vhost:add(${binary(name)}, ${operator})`,
  change_password: (user, password) =>
    `rabbit_auth_backend_internal:change_password(${binary(user)}, ${binary(password)}, ${operator})`,
  clear_user_limits: (user, limit) =>
    `rabbit_auth_backend_internal:clear_user_limits(${binary(user)}, ${binary(limit)}, ${operator})`,
  clear_vhost_limits: (_, name) => `rabbit_vhost_limit:clear(${binary(name)}, ${operator})`,
  close_all_connections: (reason) =>
    `rabbit_networking:close_connections(rabbit_networking:connections(), ${binary(reason)})`,
  // `rabbitmqctl` takes an expression with the dot at its end.
  eval: (expression = "") => expression.replace(/\.\s*$/, ""),
  join_cluster: (node) => `rabbit_mnesia:join_cluster('${node}', disc)`,
  set_permissions: (user, configure, write, read) =>
    `rabbit_auth_backend_internal:set_permissions(${[user, "/", configure, write, read].map(binary).join(", ")}, ${operator})`,
  set_user_limits: (user, limits) =>
    `rabbit_auth_backend_internal:set_user_limits(${binary(user)}, ${binary(limits)}, ${operator})`,
  set_vhost_limits: (_, name, limits) =>
    `rabbit_vhost_limit:parse_set(${binary(name)}, ${binary(limits)}, ${operator})`,
  set_vm_memory_high_watermark: (fraction) =>
    `vm_memory_monitor:set_vm_memory_high_watermark(${Number(fraction).toFixed(2)})`,
  start_app: () => "rabbit:start()",
  stop_app: () => "rabbit:stop()",
  // What was declared, and where a stream is, is written to disk some time after the server has said that it is there.
  sync: () => "begin ok = mnesia:sync_log(), [ok = dets:sync(Table) || Table <- dets:all()] end"
}

const binary = (text = ""): string => `<<${JSON.stringify(text)}>>`

const operator = binary("test")
