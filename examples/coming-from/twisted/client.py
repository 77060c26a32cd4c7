from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet import defer, endpoints, protocol, task
from twisted.protocols.basic import LineReceiver


class Lines(LineReceiver):
    delimiter = b"\n"

    def __init__(self):
        self.waiting = []

    def ask(self, line):
        answer = defer.Deferred()
        self.waiting.append(answer)
        self.sendLine(line)
        return answer

    def lineReceived(self, line):
        self.waiting.pop(0).callback(line)

    def connectionLost(self, reason):
        for answer in self.waiting:
            answer.errback(reason)


async def main(reactor, port):
    service = ClientService(
        endpoints.clientFromString(reactor, f"tcp:127.0.0.1:{port}"),
        protocol.Factory.forProtocol(Lines),
        retryPolicy=backoffPolicy(initialDelay=0.5, maxDelay=30, factor=2),
        prepareConnection=lambda lines: lines.ask(b"LOGIN alice"),
    )
    service.startService()
    lines = await service.whenConnected(failAfterFailures=1)
    print(await lines.ask(b"PING"))
    await service.stopService()


if __name__ == "__main__":
    task.react(lambda reactor: defer.ensureDeferred(main(reactor, 4000)))
