import "reflect-metadata";
import { Effect } from "effect";
export interface Certificate {
    readonly cert: string;
    readonly key: string;
}
/** An authority that is made for a test, and what it certifies. */
export interface Authority {
    readonly ca: string;
    readonly issue: (name: string, options?: {
        readonly validity?: Validity;
    }) => Effect.Effect<Certificate>;
}
export type Validity = "valid" | "expired" | "not yet valid";
export declare const makeAuthority: (name?: string) => Effect.Effect<Authority>;
/** Files of a certificate for a server that runs in a process of its own, and of the authority that has issued it. */
export declare const makeCertificateFiles: (name: string) => Effect.Effect<{
    ca: string;
    files: {
        ca: string;
        cert: string;
        key: string;
    };
}, never, import("effect/Scope").Scope>;
/** A certificate that nobody but its owner certifies. */
export declare const selfSigned: (name: string) => Effect.Effect<Certificate>;
//# sourceMappingURL=certificates.d.ts.map