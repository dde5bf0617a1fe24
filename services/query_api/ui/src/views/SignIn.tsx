// Asks for the token where the API wants one.
import { useState } from "preact/hooks";
import { send } from "../api/client";
import { connect, refresh } from "../api/live";
import type { Session } from "../api/types.gen";
import { Modal } from "../parts/Modal";
import { needsToken, session } from "../state/store";

export function SignIn() {
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  if (!needsToken.value) return null;
  const submit = (event: Event) => {
    event.preventDefault();
    send<Session>("POST", "session", { token }).then(
      (given) => {
        session.value = given;
        needsToken.value = false;
        setToken("");
        setError("");
        connect();
        void refresh();
      },
      (failed: Error & { detail?: string }) => setError(failed.detail || failed.message),
    );
  };
  return (
    <Modal title="Sign in">
      <form class="sign-in" onSubmit={submit}>
        <p>This meshlens can be reached from outside its machine and wants a token. Its operator has it.</p>
        <label class="field">
          Token
          <input type="password" autocomplete="current-password" value={token} onInput={(event) => setToken(event.currentTarget.value)} />
        </label>
        {error && <p class="bad" role="alert">{error}</p>}
        <button type="submit" class="button primary" disabled={!token}>
          Sign in
        </button>
      </form>
    </Modal>
  );
}
