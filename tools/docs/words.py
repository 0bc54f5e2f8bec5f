"""Words of the generated parts in both languages."""

from __future__ import annotations

from types import MappingProxyType

EVIDENCE = {
    "en": {"live": "**live**", "recorded": "**recorded**", "schema": "schema", "docs": "docs"},
    "zh": {"live": "**live**", "recorded": "**recorded**", "schema": "schema", "docs": "docs"},
}

ROWS = {
    "en": "Rows of data, all in OpenAI's dialect, all with the evidence *docs* (addresses and differences from their "
    "documentation, nothing was sent there): {listed}.",
    "zh": "資料列：皆使用 OpenAI 格式，證據皆為 *docs*（位址與差異依其官方文件，未曾送出任何內容）：{listed}。",
}

PLACES = {
    "en": {
        "device": "`device`",
        "lan": "`lan`",
        "private-cloud": "`private-cloud`",
        "cloud": "`cloud`",
        "proven": "`cloud`; `device` where the runtime reports local weights",
    },
    "zh": {
        "device": "`device`",
        "lan": "`lan`",
        "private-cloud": "`private-cloud`",
        "cloud": "`cloud`",
        "proven": "`cloud`；執行環境自己回報權重在本機時為 `device`",
    },
}

SYSTEMS: dict[str, dict[str, str]] = {
    "en": {
        "evidence": "* Evidence: {label}. {what}",
        "cannot": "* Known not to do: {listed}. A request that needs one of these goes to another deployment of its "
        "route, or is refused.",
        "provider": "* Provider: `{name}`",
        "address": "* Address, unless `base_url` names another: `{address}`",
        "key": "* Key, unless `key` refers to another: {key}",
        "found": "* Looked for on loopback, port {ports}; what is found there counts as `cloud`, because nothing "
        "proves where it runs.",
        "proven": "* Looked for on loopback, port {ports}; a model counts as `device` where its weights are reported "
        "to be local.",
        "door": "With `{choice}`:",
        "and": " and ",
        "or": " or ",
    },
    "zh": {
        "evidence": "* 證據：{label}。{what}",
        "cannot": "* 已知做不到：{listed}。需要其中任何一項的請求會改送路由上的其他部署，否則被拒絕。",
        "provider": "* 供應商：`{name}`",
        "address": "* 位址（`base_url` 可另外指定）：`{address}`",
        "key": "* 金鑰（`key` 可另外指定）：{key}",
        "found": "* 會在本機迴路的 {ports} 埠尋找；找到的算作 `cloud`，因為無法證明它在哪裡執行。",
        "proven": "* 會在本機迴路的 {ports} 埠尋找；執行環境回報權重在本機的模型算作 `device`。",
        "door": "設定 `{choice}` 時：",
        "and": "、",
        "or": " 或 ",
    },
}

HEADS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "providers": ("name", "system", "wires", "place", "key from", "evidence"),
        "commands": ("command", "does"),
        "settings": ("key", "type", "default", "meaning"),
        "metrics": ("name", "kind", "labels", "meaning"),
        "errors": ("error", "status", "type", "code", "tries the next", "means"),
        "policy": ("class", "furthest place"),
        "faults": ("fault", "happens", "plain", "stream", "played in"),
    },
    "zh": {
        "providers": ("名稱", "系統", "線路格式", "位置", "金鑰來源", "證據"),
        "commands": ("指令", "用途"),
        "settings": ("鍵", "型別", "預設值", "意義（英文原文）"),
        "metrics": ("名稱", "種類", "標籤", "意義（英文原文）"),
        "errors": ("錯誤", "狀態碼", "type", "code", "改試下一個", "意義（英文原文）"),
        "policy": ("類別", "最遠可到的位置"),
        "faults": ("故障", "發生什麼（英文原文）", "一般回覆", "串流", "測試"),
    },
}

GROUPS: dict[str, dict[str, str]] = {
    "en": {
        "transport": "Transport",
        "protocol": "Protocol",
        "status": "Status",
        "local": "Local runtimes",
        "client": "Clients",
        "state": "State",
    },
    "zh": {
        "transport": "傳輸",
        "protocol": "協定",
        "status": "狀態碼",
        "local": "本機執行環境",
        "client": "用戶端",
        "state": "狀態與儲存",
    },
}
"""Groups of faults, as headings."""

COMMANDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "serve": "啟動閘道。在有人提問之前，不會有任何網路呼叫。",
        "run": "問一個問題。",
        "chat": "與模型對話。",
        "ps": "列出內嵌引擎與本機執行環境的模型，以及正在休息或不能使用的部署。",
        "usage": "彙整帳本：請求、詞元與金額，可依任何欄位分組；也可列出單次嘗試。",
        "advise": "本機、雲端或兩者並用：建議、計算過程、什麼會改變結論、授權與設定檔。",
        "demo": "看閘道在近端與遠端回答，以及任一端失敗時的處理。",
        "drill": "在你設定檔的副本上演練故障，看看會由誰回答；不會動到正在執行的閘道。",
        "doctor": "檢查版本、資料夾、連接埠、引擎、模型、金鑰、執行環境、帳本、稽核與設定。",
        "route ls": "列出所有可以要求的名稱：路由與部署、各在哪裡執行、哪些不能使用。",
        "route explain": "說明問題會在哪裡執行、順序為何、為什麼不在別處。不會送出任何東西。",
        "eval": "用你的提示提問選定的部署，替答案計分並比較。",
        "router fit": "從標記學習遠端比近端預期好多少，把路由器寫成一般檔案。",
        "router score": "說明每個提示送到遠端預期多得多少，以及可不可信。",
        "router eval": "只看提示來選擇有多好？不給 --router 時分五折，每一折由其他折判斷。",
        "router cascade": "在記錄下來的答案上執行閘道自己的判斷：先看近端答案有多好？",
        "router certify": "可以承諾什麼：門檻、損失的上界，以及留在近端的比例。",
        "router labels": "把已評分的成對答案寫成 fit、eval 與 certify 讀得懂的標記檔；檔案裡是未加密的提示。",
        "router forget": "刪除並覆寫為了學習而保存的成對答案；給了多個選項時，取全部都符合的。",
        "router status": "各路由的路由器目前如何：模式、門檻、承諾、證據、警報，以及下一步。",
        "models add": "檢查一個模型檔或資料夾，讓它成為可用的模型。",
        "models ls": "列出這台機器的模型，包括無法使用的檔案。",
        "models rm": "從模型資料夾移除模型。",
        "models load": "請執行中的閘道把本機模型載入記憶體。",
        "models unload": "請執行中的閘道把本機模型移出記憶體。",
        "models pull": "取得模型：單檔或分割的 GGUF、safetensors 或 ONNX；放得進這台機器的最佳類型。",
        "models verify": "比對取得的模型的每個檔案與儲存庫公布的檢查碼。",
        "models search": "查開放權重模型的型錄：依名稱、授權、語言、能力，以及裝得下什麼。",
        "models show": "型錄對一個模型知道什麼、在哪裡讀到、哪些沒有查證。",
        "models licence": "說明一個模型能不能這樣用，附理由、來源與日期。不是法律意見。答案是不可以時，以 1 結束。",
        "fit": "估計模型在一台機器上的記憶體與速度，各附範圍與依據；不寫模型則列出全部。",
        "hardware": "列出處理器、記憶體與圖形裝置，以及模型能用的部分；也列出型錄裡的裝置。",
        "providers ls": "列出 nearfar 認得的供應商，以及環境中有沒有它的金鑰。",
        "providers discover": "詢問常用的迴路連接埠，看哪些本機執行環境正在執行。",
        "providers test": "試試部署真正做得到什麼，並記下來供之後的決定使用。",
        "providers forget": "忘記試過的結果；部署再度照供應商的說明運作。",
        "keys new": "建立一把金鑰。",
        "keys ls": "列出金鑰（不含祕密）。",
        "keys revoke": "讓金鑰失效；執行中的閘道一秒內就會知道。",
        "policy show": "印出生效的政策，以及每一部分由誰決定。",
        "policy presets": "列出 nearfar 附帶的政策，或印出一個，作為自己政策的起點。",
        "policy test": "以政策測試自己的案例：用的正是決定請求的函式。不送出任何內容。有結果與預期不同時，以 1 結束。",
        "privacy scan": "找出一段文字裡的私密內容：每一項一行，寫明位置、種類與把握程度。",
        "privacy mask": "印出一段文字，其中每個私密的值都換成遮罩。對照表是新的檔案，只有擁有者能讀：值都在裡面。",
        "privacy restore": "印出一段文字，把對照表裡的值放回遮罩的位置；網址裡的一律不還原。",
        "verify-egress": "把私密的值放進每種格式的每個位置，再逐位元組讀取記錄用的雲端收到什麼。有外洩時以 1 結束。",
        "audit verify": "檢查每筆紀錄、每個連結，以及各條鏈對彼此的說法。有問題時以 1 結束。",
        "audit export": "以 JSON 逐行印出紀錄與各自的雜湊。只有種類與數量，沒有值。",
        "audit prove": "說明某個類別是否沒有任何內容離開，以及這個答案的依據。只有成立才以 0 結束，否則為 1。",
        "audit anchor": "印出每條鏈最後的雜湊。存放在鏈的擁有者無法寫入之處，就能看出日後的更改。",
        "config show": "印出每項設定與其值；祕密只以參照顯示。",
        "config check": "讀取整份設定，一次說出所有錯誤之處。",
        "config schema": "印出設定檔的 JSON Schema。",
    }
)

STRUCTS: MappingProxyType[str, str] = MappingProxyType(
    {
        "Settings": "所有可以設定的項目。",
        "Server": "HTTP 入口。",
        "Deadlines": "上游嘗試各階段可用的秒數。",
        "Retries": "每個請求的預算：在有人回答之前，可以問部署幾次、問多久。",
        "Proxy": "連到本機以外上游時使用的 HTTP 代理。空白欄位由 HTTPS_PROXY、HTTP_PROXY 與 NO_PROXY 補上。",
        "Engine": "內嵌引擎。",
        "Ledger": "嘗試記錄在哪裡。",
        "Policy": "類別 → 最遠可到的位置。",
        "Audit": "政策要求在內容離開前寫下的紀錄。只有種類與數量，沒有值。",
        "Responses": "是否保存 `/v1/responses` 的回答，讓用戶端可以接續。保存的內容都經過加密。",
        "Discovery": "除了設定之外還會尋找什麼。",
        "Log": "寫到標準錯誤的結構化記錄，永遠不含內容。",
        "DeploymentSetting": "某個供應商的一個模型。任何 OpenAI 相容伺服器只需要：provider、base_url、model。",
        "DetectorSetting": "在規則與內建姓名之外，由你選擇的偵測器，用你裝好的函式庫與模型在這裡執行。"
        "什麼都不下載；只要它出任何問題，請求就留在近處或被拒絕。",
        "PriceSetting": "每百萬詞元的美元價格。",
        "BranchSetting": "路由的一個部署，分得一部分流量。",
        "CascadeSetting": "策略 `cascade` 如何評判近端答案，以及另外問誰。",
        "Queue": "同時只能回答固定數量請求的部署（`slots`）前面的佇列。",
        "Shadow": "暗中另外詢問的上限，用戶端看不到（`routes.NAME.shadow`）。",
        "Learning": "是否把近端與遠端的成對答案加密保存並評分，供學習路由器使用。除非 `keep` 寫明，否則什麼都不保存。",
        "RouterSetting": "以 `nearfar router fit` 學到的路由器：說明哪些提示值得送到遠端。需要 NumPy。",
        "RouteSetting": "用戶端在 `model` 裡寫的名稱。",
    }
)
