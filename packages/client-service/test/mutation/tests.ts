// One file, so that Effect is loaded once for each mutant, and the quickest tests first, since the first that fails ends it.
import "../transitions.test.js"
import "../connectionWaiters.test.js"
import "../RetryPolicy.test.js"
import "../resiliencePolicies.test.js"
import "../ClientService.test.js"
