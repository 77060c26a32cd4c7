#!/usr/bin/env node
import { run } from "../Keepalive.js"

run(process.argv.slice(2))
