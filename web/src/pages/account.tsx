// One's own: the password, tokens for scripts; for the administrator the people; projects that can be restored.

import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { api, type Schemas, told } from "../api/client";
import { Button } from "../parts/button";
import { Choice, Form, TextField, without } from "../parts/form";
import { Shown, useRead } from "../parts/loaded";
import { Card, Empty, Table } from "../parts/look";
import { Removal } from "../parts/removal";
import { me } from "../shell/person";
import { type Theme, theme } from "../shell/theme";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { day, words } from "./format";
import { CopyLink } from "./people";
import { ROLES } from "./project";

const t = texts.account;

function Password() {
  const [old, setOld] = useState("");
  const [chosen, setChosen] = useState("");
  async function change(): Promise<void> {
    await told(api.POST("/api/auth/password", { body: { old, new: chosen } }));
    setOld(without(old));
    setChosen(without(chosen));
    say(t.passwordChanged);
  }
  return (
    <Card title={t.password}>
      <Form class="line" submit={t.changePassword} onSend={change}>
        <TextField
          label={t.old}
          type="password"
          autocomplete="current-password"
          value={old}
          required
          onInput={(event) => setOld(event.currentTarget.value)}
        />
        <TextField
          label={t.new}
          type="password"
          autocomplete="new-password"
          minLength={12}
          maxLength={200}
          value={chosen}
          required
          onInput={(event) => setChosen(event.currentTarget.value)}
        />
      </Form>
    </Card>
  );
}

function Tokens() {
  const tokens = useRead(() => told(api.GET("/api/tokens")), []);
  const projects = useRead(() => told(api.GET("/api/projects")), []);
  const [name, setName] = useState("");
  const [role, setRole] = useState<Schemas["Role"] | "">("");
  const [projectId, setProjectId] = useState("");
  const [days, setDays] = useState("90");
  const [plain, setPlain] = useState<string | null>(null);
  const named = (projects.data ?? []).map((project) => [String(project.id), project.name] as const);
  const placeOf = (id: number | null) => {
    if (id === null) return t.everywhere;
    return named.find(([each]) => each === String(id))?.[1] ?? (projects.data ? t.gone : texts.nothing);
  };
  async function make(): Promise<void> {
    const limits = { ...(role && { role }), ...(projectId && { project_id: Number(projectId) }) };
    const lasts = days ? { days: Number(days) } : {};
    const made = await told(api.POST("/api/tokens", { body: { name, ...limits, ...lasts } }));
    setPlain(made.token ?? null);
    setName(without(name));
    await tokens.again();
  }
  async function revoke(id: number): Promise<void> {
    await told(api.DELETE("/api/tokens/{token_id}", { params: { path: { token_id: id } } }));
    await tokens.again();
  }
  return (
    <Card title={t.tokens}>
      <p class="quiet">{t.tokensHint}</p>
      <Form class="line" submit={t.makeToken} onSend={make}>
        <TextField
          label={t.tokenName}
          value={name}
          required
          maxLength={200}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <Choice
          label={t.atMost}
          value={role}
          options={[["", t.asMyself] as const, ...ROLES.map((each) => [each, words(each)] as const)]}
          onChoice={setRole}
        />
        <Choice
          label={t.onlyIn}
          value={projectId}
          options={[["", t.everywhere] as const, ...named]}
          onChoice={setProjectId}
        />
        <Choice
          label={t.lasts}
          value={days}
          options={[
            ["30", t.days(30)],
            ["90", t.days(90)],
            ["365", t.days(365)],
            ["", t.untilRevoked],
          ]}
          onChoice={setDays}
        />
      </Form>
      {plain && <CopyLink link={plain} />}
      <Shown of={tokens}>
        {(found) =>
          found.length ? (
            <Table label={t.tokens} head={[t.tokenName, t.atMost, t.onlyIn, t.used, t.ends, ""]}>
              {found.map((token) => (
                <tr key={token.id}>
                  <td>{token.name}</td>
                  <td>{token.role ? words(token.role) : t.asMyself}</td>
                  <td>{placeOf(token.project_id)}</td>
                  <td>{token.used_at ? day(token.used_at) : texts.never}</td>
                  <td>{token.expires_at ? day(token.expires_at) : texts.never}</td>
                  <td class="number">
                    <Removal
                      what={t.revokeOf(token.name)}
                      takes={t.tokenTakes}
                      onSure={() => revoke(token.id)}
                    >
                      {t.revoke}
                    </Removal>
                  </td>
                </tr>
              ))}
            </Table>
          ) : (
            <Empty title={t.noTokens} />
          )
        }
      </Shown>
    </Card>
  );
}

function Users() {
  const users = useRead(() => told(api.GET("/api/users")), []);
  const [made, setMade] = useState<{ userId: number; link: string } | null>(null);
  async function turn(user: Schemas["UserOut"]): Promise<void> {
    const params = { path: { user_id: user.id } };
    await told(
      user.disabled_at
        ? api.POST("/api/users/{user_id}/enable", { params })
        : api.POST("/api/users/{user_id}/disable", { params }),
    );
    await users.again();
  }
  async function renew(user: Schemas["UserOut"]): Promise<void> {
    const { link } = await told(
      api.POST("/api/users/{user_id}/link", { params: { path: { user_id: user.id } } }),
    );
    setMade(link ? { userId: user.id, link } : null);
  }
  return (
    <Card title={t.users}>
      <Shown of={users}>
        {(found) => (
          <Table label={t.users} head={[texts.people.name, t.since, ""]}>
            {found.map((user) => (
              <Fragment key={user.id}>
                <tr>
                  <td>
                    {user.name} {user.admin && <span class="chip">{t.admin}</span>}{" "}
                    {user.disabled_at && <span class="chip alarming">{texts.people.disabled}</span>}
                  </td>
                  <td>{day(user.created_at)}</td>
                  <td>
                    <div class="actions end">
                      <Button aria-label={t.newPasswordOf(user.name)} onPress={() => renew(user)}>
                        {t.newPassword}
                      </Button>
                      {user.disabled_at ? (
                        <Button aria-label={t.enableOf(user.name)} onPress={() => turn(user)}>
                          {t.enable}
                        </Button>
                      ) : (
                        <Removal
                          what={t.disableOf(user.name)}
                          takes={t.disableTakes}
                          disabled={user.id === me.value?.id}
                          onSure={() => turn(user)}
                        >
                          {t.disable}
                        </Removal>
                      )}
                    </div>
                  </td>
                </tr>
                {made?.userId === user.id && (
                  <tr>
                    <td colSpan={3}>
                      {t.linkFor(user.name)}
                      <CopyLink link={made.link} />
                    </td>
                  </tr>
                )}
              </Fragment>
            ))}
          </Table>
        )}
      </Shown>
    </Card>
  );
}

function Deleted() {
  const query = { deleted: true };
  const deleted = useRead(() => told(api.GET("/api/projects", { params: { query } })), []);
  async function restore(id: number): Promise<void> {
    await told(api.POST("/api/projects/{project_id}/restore", { params: { path: { project_id: id } } }));
    await deleted.again();
  }
  if (!deleted.data?.length) return null;
  return (
    <Card title={t.deleted}>
      <Table label={t.deleted} head={[texts.people.name, t.deletedAt, ""]}>
        {deleted.data.map((project) => (
          <tr key={project.id}>
            <td>{project.name}</td>
            <td>{day(project.deleted_at)}</td>
            <td class="number">
              <Button onPress={() => restore(project.id)}>{t.restore}</Button>
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

/** The page. */
export function Account() {
  const themes = Object.entries(texts.frame.themes) as [Theme, string][];
  return (
    <>
      <header class="page-head">
        <h1>{me.value?.name}</h1>
      </header>
      <div class="stack">
        <Card title={t.looks}>
          <div class="short">
            <Choice
              label={t.theme}
              value={theme.value}
              options={themes}
              onChoice={(value) => {
                theme.value = value;
              }}
            />
          </div>
        </Card>
        <Password />
        <Tokens />
        <Deleted />
        {me.value?.admin && <Users />}
      </div>
    </>
  );
}
