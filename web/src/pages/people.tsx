// Who is in the project and as what; links that ask others in.

import { useState } from "preact/hooks";
import { api, type Schemas, told } from "../api/client";
import { Button } from "../parts/button";
import { Choice, Form } from "../parts/form";
import { Shown, useRead } from "../parts/loaded";
import { Card, Empty, Table } from "../parts/look";
import { Removal } from "../parts/removal";
import { me } from "../shell/person";
import { go } from "../shell/router";
import { say } from "../shell/toasts";
import { texts } from "../texts";
import { day, words } from "./format";
import { ROLES, type Role, useProject } from "./project";

const t = texts.people;
const ROLE_OPTIONS = ROLES.map((role) => [role, words(role)] as const);

/** A link that is shown once, to be copied. */
export function CopyLink({ link }: { link: string }) {
  async function copy(): Promise<void> {
    await navigator.clipboard.writeText(link);
    say(texts.copied);
  }
  return (
    <div class="once">
      <output>{link}</output>
      {navigator.clipboard && <Button onPress={copy}>{texts.copy}</Button>}
      <p class="quiet">{t.once}</p>
    </div>
  );
}

function MemberRow({ member, again }: { member: Schemas["MemberOut"]; again: () => Promise<void> }) {
  const { project, may } = useProject();
  const own = member.user_id === me.value?.id;
  const what = own ? t.leave : `${texts.remove} ${member.name}`;
  const path = { project_id: project.id, user_id: member.user_id };
  async function give(role: Role): Promise<void> {
    const params = { path };
    await told(api.PUT("/api/projects/{project_id}/members/{user_id}", { params, body: { role } }));
    await again();
  }
  async function remove(): Promise<void> {
    if (own) {
      const params = { path: { project_id: project.id } };
      await told(api.DELETE("/api/projects/{project_id}/members/me", { params }));
      go("/");
      return;
    }
    await told(api.DELETE("/api/projects/{project_id}/members/{user_id}", { params: { path } }));
    await again();
  }
  return (
    <tr>
      <td>
        {member.name} {own && <span class="chip">{t.you}</span>}{" "}
        {member.disabled && <span class="chip alarming">{t.disabled}</span>}
      </td>
      <td>{may("manager") ? <RoleOf member={member} give={give} /> : words(member.role)}</td>
      <td>{day(member.since)}</td>
      <td class="number">
        {(may("manager") || own) && (
          <Removal what={what} takes={own ? t.leaveTakes : t.memberTakes} onSure={remove}>
            {own ? t.leave : texts.remove}
          </Removal>
        )}
      </td>
    </tr>
  );
}

function RoleOf({ member, give }: { member: Schemas["MemberOut"]; give: (role: Role) => Promise<void> }) {
  const [refused, setRefused] = useState(0);
  return (
    <select
      key={refused}
      aria-label={t.roleOf(member.name)}
      onChange={(event) =>
        give(event.currentTarget.value as Role).catch((error: Error) => {
          say(error.message, { alarming: true });
          setRefused(refused + 1); // shows the role as it is
        })
      }
    >
      {ROLE_OPTIONS.map(([role, text]) => (
        <option key={role} value={role} selected={role === member.role}>
          {text}
        </option>
      ))}
    </select>
  );
}

function Members() {
  const { project } = useProject();
  const params = { path: { project_id: project.id } };
  const members = useRead(
    () => told(api.GET("/api/projects/{project_id}/members", { params })),
    [project.id],
  );
  return (
    <Card title={t.members}>
      <Shown of={members}>
        {(found) => (
          <Table label={t.members} head={[t.name, t.role, t.since, ""]}>
            {found.map((member) => (
              <MemberRow key={member.user_id} member={member} again={members.again} />
            ))}
          </Table>
        )}
      </Shown>
    </Card>
  );
}

function Invitations() {
  const { project } = useProject();
  const [role, setRole] = useState<Role>("annotator");
  const [link, setLink] = useState<string | null>(null);
  const params = { path: { project_id: project.id } };
  const open = useRead(
    () => told(api.GET("/api/projects/{project_id}/invitations", { params })),
    [project.id],
  );
  async function invite(): Promise<void> {
    const made = await told(
      api.POST("/api/projects/{project_id}/invitations", { params, body: { role, days: 7 } }),
    );
    setLink(made.link ?? null);
    await open.again();
  }
  async function revoke(id: number): Promise<void> {
    const path = { project_id: project.id, invitation_id: id };
    await told(api.DELETE("/api/projects/{project_id}/invitations/{invitation_id}", { params: { path } }));
    await open.again();
  }
  return (
    <Card title={t.invitations}>
      <Form class="line" submit={t.invite} onSend={invite}>
        <Choice label={t.role} value={role} options={ROLE_OPTIONS} onChoice={setRole} />
      </Form>
      {link && <CopyLink link={link} />}
      <Shown of={open}>
        {(found) =>
          found.length ? (
            <Table label={t.invitations} head={[t.role, t.made, t.expires, ""]}>
              {found.map((each) => (
                <tr key={each.id}>
                  <td>{words(each.role)}</td>
                  <td>{day(each.created_at)}</td>
                  <td>{day(each.expires_at)}</td>
                  <td class="number">
                    <Removal
                      what={t.revokeOf(words(each.role))}
                      takes={t.invitationTakes}
                      onSure={() => revoke(each.id)}
                    >
                      {t.revoke}
                    </Removal>
                  </td>
                </tr>
              ))}
            </Table>
          ) : (
            <Empty title={t.noInvitations}>
              <p>{t.noInvitationsHint}</p>
            </Empty>
          )
        }
      </Shown>
    </Card>
  );
}

/** Members, and for managers the invitations. */
export function People() {
  const { may } = useProject();
  return (
    <div class="stack">
      <Members />
      {may("manager") && <Invitations />}
      <Card title={t.rolesTitle}>
        <dl class="facts">
          {ROLES.map((role) => (
            <div key={role}>
              <dt>{words(role)}</dt>
              <dd>{t.roles[role]}</dd>
            </div>
          ))}
        </dl>
      </Card>
    </div>
  );
}
