// Who did what in the project, newest first, and as a file.

import { useState } from "preact/hooks";
import { api, type Schemas, told } from "../api/client";
import { Button } from "../parts/button";
import { Choice, TextField } from "../parts/form";
import { Shown, useRead } from "../parts/loaded";
import { Empty, Table } from "../parts/look";
import { texts } from "../texts";
import { moment, words } from "./format";
import { useProject } from "./project";

const t = texts.audit;

// The operations of the API that a project's log knows, the frequent ones.
const ACTIONS = [
  "upload",
  "import_masks",
  "create_label",
  "change_label",
  "delete_label",
  "change_project",
  "invite",
  "accept_invitation",
  "set_role",
  "remove_member",
  "assign_many",
  "submit",
  "skip",
  "reopen",
  "accept",
  "return_annotation",
  "withdraw_acceptance",
  "change_entry",
  "import_context",
  "create_export",
] as const;

type Line = Schemas["AuditLine"];

/** What a line was about, briefly. */
function subject(line: Line): string {
  return Object.entries(line.subject)
    .map(
      ([name, value]) =>
        `${name.replace(/_id$/, "").replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : value}`,
    )
    .join(", ");
}

type Which = { user_id?: number; action?: string; since?: string };

/** The lines of one choice; another choice begins anew. */
function Lines({ which }: { which: Which }) {
  const { project } = useProject();
  const path = { project_id: project.id };
  async function page(before: number | null): Promise<Schemas["AuditPage"]> {
    const query = { ...which, ...(before && { before }) };
    const found = await told(api.GET("/api/projects/{project_id}/audit", { params: { path, query } }));
    return found as Schemas["AuditPage"];
  }
  const list = useRead(() => page(null), []);
  async function more({ entries, next }: Schemas["AuditPage"]): Promise<void> {
    const found = await page(next);
    list.set({ entries: [...entries, ...found.entries], next: found.next });
  }
  return (
    <Shown of={list}>
      {(found) =>
        found.entries.length ? (
          <>
            <Table label={t.title} head={[t.when, t.who, t.action, t.about]}>
              {found.entries.map((line) => (
                <tr key={line.id}>
                  <td class="nowrap">{moment(line.at)}</td>
                  <td>{line.who}</td>
                  <td>{words(line.action)}</td>
                  <td class="quiet">{subject(line)}</td>
                </tr>
              ))}
            </Table>
            {found.next !== null && <Button onPress={() => more(found)}>{texts.more}</Button>}
          </>
        ) : (
          <Empty title={t.empty} />
        )
      }
    </Shown>
  );
}

/** The page. */
export function Audit() {
  const { project } = useProject();
  const [userId, setUserId] = useState("");
  const [action, setAction] = useState("");
  const [since, setSince] = useState("");
  const which = {
    ...(userId && { user_id: Number(userId) }),
    ...(action && { action }),
    ...(since && { since: new Date(since).toISOString() }),
  };
  const params = { path: { project_id: project.id } };
  const members = useRead(
    () => told(api.GET("/api/projects/{project_id}/members", { params })),
    [project.id],
  );
  const people = (members.data ?? []).map((member) => [String(member.user_id), member.name] as const);
  const file = (format: string) => {
    const chosen = Object.entries(which).map(([name, value]) => [name, String(value)]);
    return `/api/projects/${project.id}/audit?${new URLSearchParams([...chosen, ["format", format]])}`;
  };
  return (
    <>
      <div class="filters">
        <Choice
          label={t.who}
          value={userId}
          options={[["", t.anybody] as const, ...people]}
          onChoice={setUserId}
        />
        <Choice
          label={t.action}
          value={action}
          options={[["", t.anything] as const, ...ACTIONS.map((name) => [name, words(name)] as const)]}
          onChoice={setAction}
        />
        <TextField
          label={t.since}
          type="date"
          value={since}
          onInput={(event) => setSince(event.currentTarget.value)}
        />
        <a class="button" href={file("csv")} download>
          {t.csv}
        </a>
        <a class="button" href={file("ndjson")} download>
          {t.ndjson}
        </a>
      </div>
      <Lines key={JSON.stringify(which)} which={which} />
    </>
  );
}
